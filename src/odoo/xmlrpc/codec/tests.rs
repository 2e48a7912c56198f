use super::*;
use proptest::prelude::*;
use serde_json::json;

/// What a call's parameter would be read as, were it an answer.
fn there_and_back(value: &Value) -> Result<Value, Refused> {
    let xml = request("m", &[value])?;
    let (_, rest) = xml.split_once("<params>").unwrap();
    let (inner, _) = rest.split_once("</params>").unwrap();
    let answer = format!("<?xml version='1.0'?>\n<methodResponse>\n<params>\n{inner}</params>\n</methodResponse>\n");
    match reply(answer.as_bytes()).unwrap() {
        Reply::Value(value) => Ok(value),
        fault @ Reply::Fault(..) => panic!("{fault:?}"),
    }
}

fn carried(text: &str) -> bool {
    text.chars().all(
        |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}'),
    )
}

fn carries(value: &Value) -> bool {
    match value {
        Value::String(text) => carried(text),
        Value::Array(items) => items.iter().all(carries),
        Value::Object(members) => members.iter().all(|(name, value)| carried(name) && carries(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), "[a-z<>&;\"'\r\n\t \u{0}-\u{1f}\u{fffe}é🚢]{0,12}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has finite numbers alone", |number| number.is_finite())
            .prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(text.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_the_same_or_refused(value in any_json()) {
        match there_and_back(&value) {
            Ok(read) => prop_assert_eq!(read, value),
            Err(refused) => prop_assert!(!carries(&value), "{refused:?}"),
        }
    }

    #[test]
    fn any_body_is_an_answer_or_broken_and_never_worse(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = reply(&body);
    }

    #[test]
    fn an_answer_cut_off_anywhere_is_broken(value in any_json().prop_filter("carried", carries), cut in any::<proptest::sample::Index>()) {
        let xml = answer(&request("m", &[&value]).unwrap());
        prop_assert!(reply(&xml.as_bytes()[..cut.index(xml.len())]).is_err());
    }
}

fn answer(call: &str) -> String {
    call.replace("<methodCall><methodName>m</methodName>", "<methodResponse>")
        .replace("</methodCall>", "</methodResponse>")
}

fn of(value: &str) -> Result<Reply, Broken> {
    reply(
        format!("<?xml version='1.0'?><methodResponse><params><param>{value}</param></params></methodResponse>")
            .as_bytes(),
    )
}

#[test]
fn what_xml_cannot_carry_is_refused_by_its_place() {
    let values = json!([{"name": "ok"}, {"comment": "a\u{1}b"}]);
    let refused = execute_kw(&[&json!("db")], &[("vals_list", values)], &Map::new()).unwrap_err();
    assert_eq!(refused.place, "vals_list[1].comment");
    assert_eq!(refused.character, '\u{1}');
    for text in ["\0", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
        assert!(request("m", &[&json!(text)]).is_err(), "{text:?}");
    }
}

#[test]
fn numbers_are_written_as_their_size_and_kind_ask_for() {
    for (value, xml) in [
        (json!(0), "<int>0</int>"),
        (json!(2_147_483_647), "<int>2147483647</int>"),
        (json!(2_147_483_648_i64), "<i8>2147483648</i8>"),
        (json!(-2_147_483_649_i64), "<i8>-2147483649</i8>"),
        (json!(u64::MAX), "<i8>18446744073709551615</i8>"),
        (json!(5.0), "<double>5</double>"),
        (json!(-23.5), "<double>-23.5</double>"),
        (json!(1e21), "<double>1000000000000000000000</double>"),
        (json!(null), "<nil/>"),
        (json!(true), "<boolean>1</boolean>"),
    ] {
        let call = request("m", &[&value]).unwrap();
        assert!(call.contains(&format!("<value>{xml}</value>")), "{call}");
    }
}

#[test]
fn an_answer_is_read_as_odoo_writes_it() {
    for (value, expected) in [
        ("<value>bare &amp; &#233;</value>", json!("bare & é")),
        ("<value></value>", json!("")),
        ("<value><string></string></value>", json!("")),
        ("<value><string/></value>", json!("")),
        ("<value><string> a\r\nb\t</string></value>", json!(" a\r\nb\t")),
        (
            "<value><string><![CDATA[<b>&amp;]]></string></value>",
            json!("<b>&amp;"),
        ),
        ("<value><i4>-7</i4></value>", json!(-7)),
        ("<value>\n<int>7</int>\n</value>", json!(7)),
        ("<value><double>1e-05</double></value>", json!(1e-5)),
        ("<value><nil/></value>", json!(null)),
        ("<value><array><data>\n</data></array></value>", json!([])),
        ("<value><struct>\n</struct></value>", json!({})),
        (
            "<value><struct><member><name>id</name><value><int>3</int></value></member></struct></value>",
            json!({"id": 3}),
        ),
    ] {
        assert_eq!(of(value), Ok(Reply::Value(expected)), "{value}");
    }
    let fault = "<methodResponse><fault><value><struct>\
        <member><name>faultCode</name><value><int>3</int></value></member>\
        <member><name>faultString</name><value><string>Access Denied</string></value></member>\
        </struct></value></fault></methodResponse>";
    assert_eq!(reply(fault.as_bytes()), Ok(Reply::Fault(3, "Access Denied".to_owned())));
}

#[test]
fn what_is_no_answer_is_broken() {
    let bomb = "<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><methodResponse><params><param>\
        <value><string>&b;</string></value></param></params></methodResponse>";
    let deep = "<value><array><data>".repeat(50_000);
    for body in [
        "",
        "no XML",
        "<html><body>welcome</body></html>",
        "<!DOCTYPE html><html></html>",
        bomb,
        "<methodResponse></methodResponse>",
        "<methodResponse><params></params></methodResponse>",
        "<methodResponse><params><param><value><int>1</int></value></param></params></methodResponse><more/>",
        "<methodResponse><fault><value><string>x</string></value></fault></methodResponse>",
        "<methodCall><methodName>m</methodName></methodCall>",
    ] {
        assert!(reply(body.as_bytes()).is_err(), "{body}");
    }
    for value in [
        "<value><string>&b;</string></value>",
        "<value><string>&#0;</string></value>",
        "<value><string>&#55296;</string></value>",
        "<value><string>a<!-- b -->c</string></value>",
        "<value><string>a<?php b ?>c</string></value>",
        "<value><string>a<b>c</b></string></value>",
        "<value>text<int>1</int></value>",
        "<value><int>1.5</int></value>",
        "<value><int></int></value>",
        "<value><int>99999999999999999999</int></value>",
        "<value><double>nan</double></value>",
        "<value><double>inf</double></value>",
        "<value><boolean>true</boolean></value>",
        "<value><base64>AAAA</base64></value>",
        "<value><int>1</int><int>2</int></value>",
        "<value><array><value><int>1</int></value></array></value>",
        "<value><struct><member><name>a</name></member></struct></value>",
        "<value><struct><member><name>a</name><value/></member><member><name>a</name><value/></member></struct></value>",
        "<value><string>a & b</string></value>",
        &deep,
        &format!("{deep}<value/>{}", "</data></array></value>".repeat(50_000)),
    ] {
        assert!(of(value).is_err(), "{}", &value[..value.len().min(80)]);
    }
    assert!(reply(b"<methodResponse>\xff</methodResponse>").is_err());
}
