use proptest::prelude::*;
use serde_json::json;

use super::*;

fn formats(zone: &str, decimal: Decimal, dates: &[&str]) -> Formats {
    Formats::new(Some(&mapping_spec::Formats {
        time_zone: Some(zone.to_owned()),
        dates: Some(dates.iter().map(ToString::to_string).collect()),
        decimal: Some(decimal),
        list: None,
    }))
    .unwrap()
}

fn plain() -> Formats {
    Formats::new(None).unwrap()
}

fn brazil() -> Formats {
    formats(
        "America/Sao_Paulo",
        Decimal::Comma,
        &["%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%y"],
    )
}

/// `None`: unreadable.
fn reads(ttype: &str, formats: &Formats, value: &Value, wanted: impl Into<Option<OdooValue>>) {
    let found = read(ttype, &[], formats, value);
    assert_eq!(found.ok().map(|read| read.value), wanted.into(), "{ttype} {value}");
}

fn text(text: &str) -> OdooValue {
    OdooValue::Text(text.to_owned())
}

#[test]
fn the_empty_is_empty_in_every_type() {
    for ttype in [
        "char",
        "html",
        "integer",
        "float",
        "boolean",
        "date",
        "datetime",
        "selection",
        "many2one",
    ] {
        for value in [json!(null), json!(" "), json!([]), json!({})] {
            reads(ttype, &plain(), &value, Some(OdooValue::Empty));
        }
    }
}

#[test]
fn text_takes_what_has_a_canonical_form() {
    for (value, wanted) in [
        (json!("  as it is \n"), Some(text("  as it is \n"))),
        (json!("emoji 🎉 <b>"), Some(text("emoji 🎉 <b>"))),
        (json!("a\u{0}b"), None),
        (json!(["a\u{0}"]), None),
        (json!(12.0), Some(text("12"))),
        (json!(12.5), Some(text("12.5"))),
        (json!(-0.0), Some(text("0"))),
        (json!(1e21), Some(text("1000000000000000000000"))),
        (json!(u64::MAX), Some(text("18446744073709551615"))),
        (json!(true), Some(text("true"))),
        (json!(["a", 1.0, null, "", {"b": 1}]), Some(text("a, 1, {\"b\":1}"))),
        (json!({"b": 1, "a": [2]}), Some(text("{\"a\":[2],\"b\":1}"))),
    ] {
        for ttype in ["char", "text", "html"] {
            reads(ttype, &plain(), &value, wanted.clone());
        }
    }
}

#[test]
fn integers_are_whole_and_of_32_bits() {
    for (value, wanted) in [
        (json!(12), Some(12)),
        (json!(12.0), Some(12)),
        (json!("12"), Some(12)),
        (json!(" -7 "), Some(-7)),
        (json!("12.0"), Some(12)),
        (json!(2_147_483_647), Some(2_147_483_647)),
        (json!(-2_147_483_648_i64), Some(-2_147_483_648)),
        (json!(12.5), None),
        (json!("12,5"), None),
        (json!(3_000_000_000_i64), None),
        (json!("12a"), None),
        (json!(true), None),
        (json!([1]), None),
    ] {
        reads("integer", &plain(), &value, wanted.map(OdooValue::Integer));
    }
}

#[test]
fn numbers_have_either_mark_and_the_formats_decide_what_is_ambiguous() {
    for (source, point, comma) in [
        ("1.234,56", Some(1234.56), Some(1234.56)),
        ("1,234.56", Some(1234.56), Some(1234.56)),
        ("1.234", Some(1.234), Some(1234.0)),
        ("1,234", Some(1234.0), Some(1.234)),
        ("-1.234", Some(-1.234), Some(-1234.0)),
        ("0.123", Some(0.123), Some(0.123)),
        ("0,123", Some(0.123), Some(0.123)),
        ("1234.567", Some(1234.567), Some(1234.567)),
        ("1234,567", Some(1234.567), Some(1234.567)),
        ("1.234.567", Some(1_234_567.0), Some(1_234_567.0)),
        ("1,234,567.8", Some(1_234_567.8), Some(1_234_567.8)),
        ("1 234,5", Some(1234.5), Some(1234.5)),
        ("1\u{a0}234", Some(1234.0), Some(1234.0)),
        ("12,5", Some(12.5), Some(12.5)),
        (" +3 ", Some(3.0), Some(3.0)),
        (".5", Some(0.5), Some(0.5)),
        ("1e3", Some(1000.0), Some(1000.0)),
        ("1.5E-3", Some(0.0015), Some(0.0015)),
        ("5.", None, None),
        ("1.23.456", None, None),
        ("1.234.56", None, None),
        ("1.234,567.8", None, None),
        ("1,234.567,8", None, None),
        ("12 34", None, None),
        ("--1", None, None),
        ("R$ 5", None, None),
        ("5 %", None, None),
        ("NaN", None, None),
        ("inf", None, None),
        ("1e999", None, None),
        ("e5", None, None),
        ("0x10", None, None),
        ("٣", None, None),
    ] {
        for (decimal, wanted) in [(Decimal::Point, point), (Decimal::Comma, comma)] {
            for ttype in ["float", "monetary"] {
                let formats = formats("UTC", decimal, &[]);
                reads(ttype, &formats, &json!(source), wanted.map(OdooValue::Float));
            }
        }
    }
    let digits = |value: Value| read("float", &[], &plain(), &value).unwrap().note.map(|note| note.code);
    for exact in [
        json!("9007199254740992"),
        json!(0.1),
        json!("1.234,50"),
        json!(9_007_199_254_740_992_i64),
    ] {
        assert_eq!(digits(exact.clone()), None, "{exact}");
    }
    for inexact in [json!("12345678901234567890,12"), json!(9_007_199_254_740_993_i64)] {
        assert_eq!(digits(inexact.clone()), Some("DigitsCut"), "{inexact}");
    }
    reads("integer", &plain(), &json!("1.00000000000000000001"), None);
    reads("float", &plain(), &json!(7), Some(OdooValue::Float(7.0)));
    reads("float", &plain(), &json!(false), None);
}

#[test]
fn yes_and_no_are_read_in_four_languages() {
    for (value, wanted) in [
        (json!(true), Some(true)),
        (json!(1), Some(true)),
        (json!(1.0), Some(true)),
        (json!(0), Some(false)),
        (json!(2), None),
        (json!("talvez"), None),
        (json!([true]), None),
    ] {
        reads("boolean", &plain(), &value, wanted.map(OdooValue::Boolean));
    }
    for word in ["true", "1", "yes", "Y", "on", "Sim", " да ", "ДА"] {
        reads("boolean", &plain(), &json!(word), Some(OdooValue::Boolean(true)));
    }
    for word in ["false", "0", "no", "N", "OFF", "não", "NÃO", "na\u{303}o", "нет"] {
        reads("boolean", &plain(), &json!(word), Some(OdooValue::Boolean(false)));
    }
}

#[test]
fn dates_and_times_are_read_by_iso_then_by_the_formats_and_written_in_utc() {
    for (source, day, at) in [
        ("2024-01-15", "2024-01-15", "2024-01-15 03:00:00"),
        ("20240115", "2024-01-15", "2024-01-15 03:00:00"),
        ("2024-01-15T10:30:00", "2024-01-15", "2024-01-15 13:30:00"),
        ("2024-01-15 10:30", "2024-01-15", "2024-01-15 13:30:00"),
        ("2024-01-15T01:00:00Z", "2024-01-14", "2024-01-15 01:00:00"),
        ("2024-01-15T01:00:00+05:30", "2024-01-14", "2024-01-14 19:30:00"),
        ("2024-01-15T01:00:00-0300", "2024-01-15", "2024-01-15 04:00:00"),
        (
            "2024-01-15T23:30:00[America/New_York]",
            "2024-01-16",
            "2024-01-16 04:30:00",
        ),
        ("15/01/2024", "2024-01-15", "2024-01-15 03:00:00"),
        ("15/01/2024 10:30", "2024-01-15", "2024-01-15 13:30:00"),
        ("15/01/24", "2024-01-15", "2024-01-15 03:00:00"),
        // the clocks went forward at midnight: there was no 00:00, nor a 00:30
        ("2018-11-04", "2018-11-04", "2018-11-04 03:00:00"),
        ("2018-11-04T00:30:00", "2018-11-04", "2018-11-04 03:30:00"),
        // and back at midnight: 23:30 was twice
        ("2018-02-17T23:30:00", "2018-02-17", "2018-02-18 01:30:00"),
    ] {
        reads("date", &brazil(), &json!(source), Some(OdooValue::Date(day.to_owned())));
        reads(
            "datetime",
            &brazil(),
            &json!(source),
            Some(OdooValue::DateTime(at.to_owned())),
        );
    }
    for source in [
        "2024-13-01",
        "2024-02-30",
        "31/04/2024",
        "01/15/2024",
        "15/01/2024 10:30:00",
        "15.01.2024",
        "2024",
        "agora",
        "2024-01-15x",
        "2024-01-15T25:00:00",
        "-000001-01-01",
        "9999-12-31T23:59:59-12:00",
    ] {
        reads("date", &brazil(), &json!(source), None);
        reads("datetime", &brazil(), &json!(source), None);
    }
    reads("date", &brazil(), &json!(1_705_312_800), None);
}

#[test]
fn a_fraction_of_a_second_is_cut_and_noted() {
    let read = |text: &str| read("datetime", &[], &plain(), &json!(text)).unwrap();
    let cut = read("2026-01-15T12:34:56.123456Z");
    assert_eq!(cut.value, OdooValue::DateTime("2026-01-15 12:34:56".to_owned()));
    assert_eq!(cut.note.unwrap().code, "FractionCut");
    assert_eq!(read("2026-01-15T12:34:56.000Z").note, None);
    for leap in ["2016-12-31T23:59:60Z", "2016-12-31 23:59:60.5Z", "20161231T235960Z"] {
        let read = read(leap);
        assert_eq!(read.value, OdooValue::DateTime("2016-12-31 23:59:59".to_owned()));
        assert_eq!(read.note.unwrap().code, "LeapSecond", "{leap}");
    }
    for plain in [
        "2026-01-15T12:60:00Z",
        "2026-01-15T12:34:59.60Z",
        "2026-01-15T12:34:56+00:60",
        "1960-01-15T12:34:06Z",
    ] {
        assert!(!has_leap_second(&json!(plain)), "{plain}");
    }
    let old = read("1960-01-15T12:34:56.9Z");
    assert_eq!(old.value, OdooValue::DateTime("1960-01-15 12:34:56".to_owned()));
}

#[test]
fn a_selection_takes_its_options_only() {
    let options = [
        ("won".to_owned(), "Won".to_owned()),
        ("1".to_owned(), "High".to_owned()),
    ];
    let read = |value: Value| read("selection", &options, &plain(), &value);
    assert_eq!(read(json!("won")).unwrap().value, OdooValue::Text("won".to_owned()));
    assert_eq!(read(json!(1)).unwrap().value, OdooValue::Text("1".to_owned()));
    let error = read(json!("wonn")).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        ("NotAnOption", "\"wonn\" is not an option; the nearest is won")
    );
    assert!(read(json!("Won")).is_err());
    assert!(read(json!("zzzz")).unwrap_err().message.contains("options are won, 1"));
}

#[test]
fn links_come_from_lookups_only_and_unknown_types_are_refused() {
    for ttype in ["many2one", "many2many", "many2one_reference", "one2many", "json"] {
        reads(ttype, &plain(), &json!(5), None);
    }
}

#[test]
fn formats_that_cannot_work_are_refused() {
    let build = |zone: Option<&str>, dates: &[&str]| {
        Formats::new(Some(&mapping_spec::Formats {
            time_zone: zone.map(ToOwned::to_owned),
            dates: Some(dates.iter().map(ToString::to_string).collect()),
            ..mapping_spec::Formats::default()
        }))
    };
    assert!(
        build(Some("America/Sao_Paolo"), &[])
            .unwrap_err()
            .contains("America/Sao_Paolo")
    );
    for pattern in ["%d/%m", "%Q", "dd/mm/yyyy", "%"] {
        assert!(build(None, &[pattern]).unwrap_err().contains(pattern), "{pattern}");
    }
    assert!(
        build(
            None,
            &["%d.%m.%Y", "%b %d, %Y", "%d/%m/%Y %I:%M %p", "%Y-%m-%d %H:%M:%S %z"]
        )
        .is_ok()
    );
}

#[test]
fn a_long_value_is_shortened_in_a_message() {
    let error = read("integer", &[], &plain(), &json!("é".repeat(500))).unwrap_err();
    assert!(error.message.chars().count() < 120, "{}", error.message);
}

proptest! {
    #[test]
    fn reading_never_panics(text in "\\PC{0,24}", digits in "[-+0-9.,eE /:TZ]{0,20}") {
        for text in [text, digits] {
            for ttype in ["char", "integer", "float", "boolean", "date", "datetime", "selection"] {
                let _ = read(ttype, &[], &brazil(), &json!(text));
            }
        }
    }

    #[test]
    fn a_number_is_read_back_from_its_canonical_text(number in -1e12_f64..1e12) {
        let text = canonical_text(&json!(number));
        let decimals = text.split('.').nth(1).map_or(0, str::len);
        prop_assume!(decimals != 3);
        let formats = formats("UTC", Decimal::Point, &[]);
        prop_assert_eq!(super::number(&formats, &json!(text)).ok().map(|read| read.value), Some(number));
    }
}
