//! Reading records back, and comparing what is there with what was wanted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::{
    content,
    html::Seen,
    patience,
    rpc::{Rpc, RpcError},
};
use crate::{
    args,
    mapping::TargetField,
    model::{OdooValue, Reference},
};

/// Ids listed in one call.
const LIST: usize = 1_000;

/// A record as Odoo has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadRecord {
    /// Field to value.
    pub values: BTreeMap<String, OdooValue>,
    /// User who wrote last; 0 where Odoo does not say.
    pub write_uid: i64,
    /// When, in UTC, whole seconds: `YYYY-MM-DD HH:MM:SS`.
    pub write_date: String,
}

/// The records of these ids, archived ones too; those that do not exist are left out.
///
/// # Errors
/// When Odoo does not answer, or refuses (a field that the model does not have).
pub async fn read_back(
    rpc: &dyn Rpc,
    model: &str,
    fields: &[TargetField],
    ids: &[i64],
) -> Result<BTreeMap<i64, ReadRecord>, RpcError> {
    let mut records = BTreeMap::new();
    for chunk in ids.chunks(LIST) {
        records.extend(search_read(rpc, model, fields, json!([["id", "in", chunk]]), LIST).await?);
    }
    Ok(records)
}

/// The next records of a model above an id, in the order of ids, archived ones too. Empty at the end.
///
/// # Errors
/// As [`read_back`].
pub async fn page(
    rpc: &dyn Rpc,
    model: &str,
    fields: &[TargetField],
    after: i64,
    limit: usize,
) -> Result<BTreeMap<i64, ReadRecord>, RpcError> {
    search_read(rpc, model, fields, json!([["id", ">", after]]), limit).await
}

/// Models with a `search_read` of their own that takes no `load`.
const WITH_NAMES: [&str; 1] = ["project.tags"];

async fn search_read(
    rpc: &dyn Rpc,
    model: &str,
    fields: &[TargetField],
    domain: Json,
    limit: usize,
) -> Result<BTreeMap<i64, ReadRecord>, RpcError> {
    let is_content = |field: &&TargetField| field.ttype == "binary";
    let (own, others): (Vec<&str>, Vec<&str>) = fields
        .iter()
        .filter(is_content)
        .map(|field| field.name.as_str())
        .partition(|name| content::is_own(model, name));
    let names: BTreeSet<&str> = fields
        .iter()
        .filter(|field| !is_content(field))
        .map(|field| field.name.as_str())
        .chain(["write_uid", "write_date"])
        .chain(content::PROOF.into_iter().filter(|_| !own.is_empty()))
        .collect();
    // `load: null` leaves out the names of linked records, which cost more than the rest
    let mut args = args!({
        "domain": domain, "fields": names, "order": "id", "limit": limit,
        "context": {"active_test": false},
    });
    if !WITH_NAMES.contains(&model) {
        args.insert("load".to_owned(), Json::Null);
    }
    let answer = patience::call(rpc, model, "search_read", args).await?;
    let mut records = BTreeMap::new();
    for row in patience::rows(&answer, "search_read")? {
        let mut record = record(row, fields);
        let values = own.iter().map(|name| ((*name).to_owned(), content::of_row(row)));
        record.values.extend(values);
        records.insert(patience::integer(row, "id")?, record);
    }
    let ids: Vec<i64> = records.keys().copied().collect();
    for ((id, name), value) in content::of_fields(rpc, model, &others, &ids).await? {
        if let Some(record) = records.get_mut(&id) {
            record.values.insert(name, value);
        }
    }
    Ok(records)
}

/// A record as it was answered; what holds content is empty until it is looked at.
fn record(row: &serde_json::Map<String, Json>, fields: &[TargetField]) -> ReadRecord {
    let value = |field: &TargetField| match field.ttype.as_str() {
        "binary" => OdooValue::Empty,
        ttype => decode(ttype, row.get(&field.name).unwrap_or(&Json::Null)),
    };
    ReadRecord {
        values: fields.iter().map(|field| (field.name.clone(), value(field))).collect(),
        write_uid: row.get("write_uid").and_then(link).unwrap_or_default(),
        write_date: patience::text(row, "write_date").to_owned(),
    }
}

/// A value as Odoo answers it, by the field's type.
#[must_use]
pub fn decode(ttype: &str, json: &Json) -> OdooValue {
    match (ttype, json) {
        ("boolean", json) => OdooValue::Boolean(json.as_bool().unwrap_or(false)),
        (_, Json::Bool(false) | Json::Null) => OdooValue::Empty,
        ("integer", json) => json.as_i64().map_or_else(|| text(json), OdooValue::Integer),
        ("float" | "monetary", json) => json.as_f64().map_or_else(|| text(json), OdooValue::Float),
        ("many2one" | "many2one_reference", json) => match link(json) {
            Some(0) => OdooValue::Empty,
            Some(id) => OdooValue::Link(Reference::Id(id)),
            None => text(json),
        },
        ("many2many" | "one2many", Json::Array(list)) => {
            let links: BTreeSet<Reference> = list.iter().filter_map(link).map(Reference::Id).collect();
            OdooValue::Links(links.into_iter().collect())
        }
        ("date", Json::String(day)) => OdooValue::Date(day.clone()),
        ("datetime", Json::String(time)) => OdooValue::DateTime(time.clone()),
        (_, json) => text(json),
    }
}

fn text(json: &Json) -> OdooValue {
    OdooValue::Text(json.as_str().map_or_else(|| json.to_string(), str::to_owned))
}

/// An id, or `[id, name]`.
pub(super) fn link(json: &Json) -> Option<i64> {
    json.as_i64().or_else(|| json.get(0)?.as_i64())
}

/// The text of HTML is there, a link or a picture in it is not as it was.
pub const RELINKED: &str = "Relinked";

/// How what is there stands to what was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same.
    Equal,
    /// Not the same, by a rule of Odoo's: `Rounded`, `Sanitised`, [`RELINKED`], `Trimmed`, `Normalised`.
    Explained(&'static str),
    /// Not what was wanted.
    Different,
}

/// Compares the value wanted with the one found.
#[must_use]
pub fn compare(field: &TargetField, model: &str, wanted: &OdooValue, found: &OdooValue) -> Comparison {
    use OdooValue::{Boolean, Empty, Float, Integer, Links, Text};
    if field.ttype == "binary" {
        return compare_content(wanted, found);
    }
    let explained = |yes, why| {
        if yes {
            Comparison::Explained(why)
        } else {
            Comparison::Different
        }
    };
    match (wanted, found) {
        (Links(wanted), Links(found)) if same_links(wanted, found) => Comparison::Equal,
        (wanted, found) if wanted == found || (is_nothing(wanted) && is_nothing(found)) => Comparison::Equal,
        // a boolean is never empty, and numbers are not either
        (Empty, Boolean(false) | Integer(0)) => Comparison::Equal,
        (Empty | Integer(0), Float(found)) if *found == 0.0 => Comparison::Equal,
        (Float(wanted), Float(found)) => explained(is_rounded(field, *wanted, *found), "Rounded"),
        (Text(wanted), found) if field.ttype == "html" => {
            let found = if let Text(found) = found { found.as_str() } else { "" };
            let (wanted, found) = (Seen::of(wanted), Seen::of(found));
            let why = if wanted.addresses == found.addresses {
                "Sanitised"
            } else {
                RELINKED
            };
            explained(wanted.reads_like(&found), why)
        }
        (Empty, Text(found)) if field.ttype == "html" => explained(Seen::of(found).is_blank, "Sanitised"),
        (Text(wanted), Text(found)) if is_website(model, &field.name) && with_scheme(wanted) == *found => {
            Comparison::Explained("Normalised")
        }
        (Text(wanted), Text(found)) if field.ttype != "selection" => {
            explained(wanted.trim() == found.trim(), "Trimmed")
        }
        _ => Comparison::Different,
    }
}

/// Content is compared by size and checksum, however it was given.
fn compare_content(wanted: &OdooValue, found: &OdooValue) -> Comparison {
    let same = match (content::of(wanted), content::of(found)) {
        (Some(wanted), Some(found)) => wanted.is(&found),
        (None | Some(_), None) | (None, Some(_)) => is_nothing(wanted) && is_nothing(found),
    };
    if same { Comparison::Equal } else { Comparison::Different }
}

fn same_links(a: &[Reference], b: &[Reference]) -> bool {
    a.iter().collect::<BTreeSet<_>>() == b.iter().collect::<BTreeSet<_>>()
}

/// Null, the empty text, no links.
pub(super) fn is_nothing(value: &OdooValue) -> bool {
    match value {
        OdooValue::Empty => true,
        OdooValue::Text(text) => text.is_empty(),
        OdooValue::Links(links) => links.is_empty(),
        OdooValue::Lines(lines) => lines.is_empty(),
        OdooValue::Integer(_)
        | OdooValue::Float(_)
        | OdooValue::Boolean(_)
        | OdooValue::Date(_)
        | OdooValue::DateTime(_)
        | OdooValue::Link(_) => false,
        OdooValue::Content(content) => content.size == 0,
    }
}

/// Digits that currencies have.
const OF_CURRENCIES: std::ops::RangeInclusive<u32> = 2..=4;

/// Whether `found` is `wanted` rounded to the digits of the field, or of a currency. A field without digits keeps all.
fn is_rounded(field: &TargetField, wanted: f64, found: f64) -> bool {
    let rounded = |digits: u32| {
        let unit = 0.1_f64.powi(i32::try_from(digits).unwrap_or(i32::MAX));
        let whole = (found / unit).round();
        (found - whole * unit).abs() <= unit * 1e-6 && (found - wanted).abs() <= unit * (0.5 + 1e-6)
    };
    match field.digits {
        Some(digits) => rounded(digits),
        None if field.ttype == "monetary" => OF_CURRENCIES.into_iter().any(rounded),
        None => (found - wanted).abs() <= wanted.abs() * 1e-15,
    }
}

/// Fields that Odoo completes to an address of the web.
pub(super) fn is_website(model: &str, field: &str) -> bool {
    field == "website" && matches!(model, "res.partner" | "crm.lead")
}

/// What Odoo makes of a website: without a scheme it gets one.
pub(super) fn with_scheme(website: &str) -> String {
    let scheme = website.split_once(':').filter(|(scheme, rest)| {
        let letters = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let first = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let port = !first.is_empty() && first.chars().all(|c| c.is_ascii_digit());
        letters && scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && !port
    });
    match scheme {
        Some(_) => website.to_owned(),
        None => format!("http://{}", website.strip_prefix("//").unwrap_or(website)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Comparison::{Different, Equal, Explained};

    fn text(text: &str) -> OdooValue {
        OdooValue::Text(text.to_owned())
    }

    #[test]
    fn answers_become_values_by_type() {
        let links = |ids: &[i64]| OdooValue::Links(ids.iter().copied().map(Reference::Id).collect());
        for (ttype, answer, wanted) in [
            ("char", json!("a"), text("a")),
            ("char", json!(false), OdooValue::Empty),
            ("boolean", json!(false), OdooValue::Boolean(false)),
            ("integer", json!(0), OdooValue::Integer(0)),
            ("monetary", json!(12), OdooValue::Float(12.0)),
            ("many2one", json!([7, "Acme"]), OdooValue::Link(Reference::Id(7))),
            ("many2one", json!(7), OdooValue::Link(Reference::Id(7))),
            ("many2one_reference", json!(0), OdooValue::Empty),
            ("many2many", json!([9, 3]), links(&[3, 9])),
            ("many2many", json!([]), links(&[])),
            ("date", json!("2026-01-02"), OdooValue::Date("2026-01-02".to_owned())),
            (
                "datetime",
                json!("2026-01-02 03:04:05"),
                OdooValue::DateTime("2026-01-02 03:04:05".to_owned()),
            ),
            ("selection", json!("won"), text("won")),
        ] {
            assert_eq!(decode(ttype, &answer), wanted, "{ttype} {answer}");
        }
    }

    fn check(field: &str, ttype: &str, wanted: &OdooValue, found: &OdooValue, is: Comparison) {
        let target = TargetField::new(field, ttype);
        assert_eq!(
            compare(&target, "res.partner", wanted, found),
            is,
            "{field}: {wanted:?} {found:?}"
        );
    }

    #[test]
    fn text_is_trimmed_completed_or_different() {
        for (field, ttype, wanted, found, is) in [
            ("name", "char", "a", "a", Equal),
            ("name", "char", "a", "A", Different),
            ("name", "char", "a ", "a", Explained("Trimmed")),
            ("name", "char", "a", "", Different),
            ("name", "char", "", "", Equal),
            ("type", "selection", "other", "other ", Different),
            ("website", "char", "a.br", "http://a.br", Explained("Normalised")),
            ("website", "char", "a.br", "http://b.br", Different),
            ("ref", "char", "a.br", "http://a.br", Different),
            ("comment", "html", "a & b", "<p>a &amp; b</p>", Explained("Sanitised")),
            (
                "comment",
                "html",
                "a\u{2}b \u{1b}[0m",
                "<p>ab [0m</p>",
                Explained("Sanitised"),
            ),
            ("comment", "html", "<p>a</p>", "<p>b</p>", Different),
            (
                "comment",
                "html",
                "<a href=\"https://a.br\">x</a>",
                "<p><a href=\"https://b.br\">x</a></p>",
                Explained(RELINKED),
            ),
        ] {
            check(field, ttype, &text(wanted), &text(found), is);
        }
        check("name", "char", &OdooValue::Empty, &text(""), Equal);
        check("name", "char", &text("a"), &OdooValue::Empty, Different);
        check(
            "comment",
            "html",
            &text("<script>x</script>"),
            &OdooValue::Empty,
            Explained("Sanitised"),
        );
        check(
            "comment",
            "html",
            &OdooValue::Empty,
            &text("<p><br></p>"),
            Explained("Sanitised"),
        );
    }

    #[test]
    fn numbers_are_rounded_to_the_digits_of_their_field_or_different() {
        let float = OdooValue::Float;
        for (ttype, digits, wanted, found, is) in [
            ("float", Some(7), 1.123_456_789, 1.123_456_8, Explained("Rounded")),
            ("float", Some(2), 7.267, 7.27, Explained("Rounded")),
            ("float", Some(7), -23.5505, -23.55, Different),
            ("float", None, 0.0034, 0.003, Different),
            ("float", None, 1.0, 1.01, Different),
            ("monetary", None, 1234.565, 1234.57, Explained("Rounded")),
            ("monetary", None, 99.6, 100.0, Different),
            ("monetary", None, 1e6, 1e6 + 1.0, Different),
        ] {
            let field = TargetField {
                digits,
                ..TargetField::new("x", ttype)
            };
            assert_eq!(
                compare(&field, "m", &float(wanted), &float(found)),
                is,
                "{ttype} {wanted} {found}"
            );
        }
        check("x", "monetary", &OdooValue::Empty, &float(0.0), Equal);
        check("x", "integer", &OdooValue::Empty, &OdooValue::Integer(0), Equal);
    }

    #[test]
    fn links_are_a_set_and_a_boolean_is_never_empty() {
        let links = |ids: &[i64]| OdooValue::Links(ids.iter().copied().map(Reference::Id).collect());
        check("x", "many2many", &links(&[1, 2]), &links(&[2, 1]), Equal);
        check("x", "many2many", &links(&[1]), &links(&[1, 2]), Different);
        let boolean = OdooValue::Boolean;
        check("x", "boolean", &OdooValue::Empty, &boolean(false), Equal);
        check("x", "boolean", &boolean(true), &boolean(false), Different);
    }

    #[test]
    fn a_website_without_a_scheme_gets_one() {
        for (given, stored) in [
            ("a.br", "http://a.br"),
            ("a.br:8080/x", "http://a.br:8080/x"),
            ("//a.br", "http://a.br"),
            ("https://a.br", "https://a.br"),
            ("http://a.br:80", "http://a.br:80"),
            ("mailto:a@b.c", "mailto:a@b.c"),
        ] {
            assert_eq!(with_scheme(given), stored);
        }
    }
}
