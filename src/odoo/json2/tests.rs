use std::{net::SocketAddr, time::Duration};

use super::*;
use crate::{
    args,
    odoo::http::testing::{at, http, server},
};

const KEY: &str = "s3cr3t-key";

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().expect("a time")
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(k, v)| (reqwest::header::HeaderName::from_static(k), v.parse().expect("a value")))
        .collect()
}

fn odoo(name: &str, message: &str) -> String {
    serde_json::json!({"name": name, "message": message, "arguments": [], "context": {}, "debug": "Traceback s3cr3t"})
        .to_string()
}

fn rejected(name: &str, message: &str) -> RpcError {
    RpcError::Rejected {
        name: name.into(),
        message: message.into(),
    }
}

fn unknown(message: &str) -> RpcError {
    RpcError::Unknown {
        message: message.into(),
    }
}

fn throttled(seconds: Option<u64>) -> RpcError {
    RpcError::Throttled {
        retry_after: seconds.map(Duration::from_secs),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn an_answer_is_classified_by_status_and_by_who_phrased_it() {
    let html = [("content-type", "text/html; charset=utf-8")];
    let wait = |value| [("retry-after", value)];
    let cases: Vec<(u16, HeaderMap, String, RpcError)> = vec![
        (
            401,
            headers(&[]),
            odoo("werkzeug.exceptions.Unauthorized", "Invalid apikey"),
            RpcError::Unauthorized,
        ),
        (401, headers(&html), "<html>".into(), RpcError::Unauthorized),
        (
            403,
            headers(&[]),
            odoo("odoo.exceptions.AccessError", "no"),
            RpcError::Forbidden { message: "no".into() },
        ),
        (
            404,
            headers(&[]),
            odoo("odoo.exceptions.MissingError", "gone"),
            RpcError::Missing { message: "gone".into() },
        ),
        (
            409,
            headers(&[]),
            odoo("odoo.exceptions.LockError", "locked"),
            RpcError::Conflict,
        ),
        (
            413,
            headers(&html),
            "<html>".into(),
            rejected("413", "the call is too large"),
        ),
        (
            422,
            headers(&[]),
            odoo("odoo.exceptions.ValidationError", "bad\nname"),
            rejected("odoo.exceptions.ValidationError", "bad name"),
        ),
        (
            500,
            headers(&[]),
            odoo("builtins.ValueError", "bad"),
            rejected("builtins.ValueError", "bad"),
        ),
        (
            500,
            headers(&[]),
            odoo("psycopg2.errors.SerializationFailure", "x"),
            RpcError::Conflict,
        ),
        (
            500,
            headers(&[]),
            odoo("psycopg2.errors.LockNotAvailable", "x"),
            RpcError::Conflict,
        ),
        (
            422,
            headers(&[]),
            odoo("x", "could not serialize access due to concurrent update"),
            RpcError::Conflict,
        ),
        (
            500,
            headers(&[]),
            odoo("psycopg2.OperationalError", "SSL"),
            unknown("500 psycopg2.OperationalError"),
        ),
        (500, headers(&html), "<html>".into(), unknown("500 text/html")),
        (502, headers(&html), "<html>".into(), unknown("502 text/html")),
        (503, headers(&html), "<html>".into(), unknown("503 text/html")),
        (503, headers(&wait("7")), String::new(), throttled(Some(7))),
        (504, headers(&[]), String::new(), unknown("504 without a type")),
        (429, headers(&wait("30")), String::new(), throttled(Some(30))),
        (
            429,
            headers(&[]),
            odoo("werkzeug.exceptions.TooManyRequests", "x"),
            throttled(None),
        ),
        (
            429,
            headers(&wait("Sun, 22 Nov 2026 10:01:00 GMT")),
            String::new(),
            throttled(Some(60)),
        ),
        (
            429,
            headers(&wait("Sun, 22 Nov 2026 09:00:00 GMT")),
            String::new(),
            throttled(Some(0)),
        ),
        (200, headers(&html), "<html>".into(), unknown("200 text/html, not JSON")),
        (
            200,
            headers(&[("content-type", "application/json")]),
            "[1, 2".into(),
            unknown("200 application/json, not JSON"),
        ),
    ];
    for (status, headers, body, expected) in cases {
        assert_eq!(
            classify(status, &headers, body.as_bytes(), now()),
            Err(expected),
            "{status} {body}"
        );
    }
    assert_eq!(classify(200, &headers(&[]), b"[1]", now()), Ok(serde_json::json!([1])));
    assert_eq!(classify(200, &headers(&[]), b"false", now()), Ok(Value::Bool(false)));
}

#[test]
fn an_unknown_database_and_a_redirect_say_what_to_look_at() {
    let Err(RpcError::NotFound { message }) = classify(404, &headers(&[("content-type", "text/html")]), b"<h1>", now())
    else {
        panic!("not found")
    };
    assert!(message.contains("no such database"), "{message}");
    let to = headers(&[("location", "https://login.acme.test/sso?token=abc")]);
    let Err(RpcError::NotFound { message }) = classify(302, &to, b"", now()) else {
        panic!("not found")
    };
    assert!(
        message.ends_with("it redirects to https://login.acme.test"),
        "{message}"
    );
}

#[test]
fn a_message_is_one_line_of_at_most_300_characters_without_the_traceback() {
    let body = odoo("builtins.ValueError", &"ç".repeat(5000));
    let Err(RpcError::Rejected { message, .. }) = classify(500, &headers(&[]), body.as_bytes(), now()) else {
        panic!("rejected")
    };
    assert_eq!(message.chars().count(), 300);
    assert!(message.ends_with('…'));
}

#[test]
fn the_key_is_seen_nowhere() {
    let key = Secret::new(KEY);
    assert!(!format!("{key:?}").contains(KEY));
    assert!(!format!("{:?}", client_of(([127, 0, 0, 1], 1).into())).contains(KEY));
    let broken = Json2::new(&Server::new("https://acme.test", "crm"), &Secret::new("bad\u{7f}key"));
    assert!(!format!("{broken:?}").contains("bad\u{7f}"));
}

fn client_of(address: SocketAddr) -> Json2 {
    Json2::new(&at(address), &Secret::new(KEY)).expect("good options")
}

async fn ask(answer: Vec<u8>) -> Result<Value, RpcError> {
    let (address, _task) = server(vec![answer], false).await;
    client_of(address)
        .call("res.partner", "search", args!({"domain": []}))
        .await
}

#[tokio::test]
async fn a_call_carries_the_key_the_database_and_our_name() {
    let (address, task) = server(vec![http("200 OK", "", b"[3]")], false).await;
    let answer = client_of(address)
        .call("res.partner", "search", args!({"domain": []}))
        .await;
    assert_eq!(answer, Ok(serde_json::json!([3])));
    let request = &task.await.expect("served")[0];
    assert!(
        request.starts_with("POST /json/2/res.partner/search HTTP/1.1\r\n"),
        "{request}"
    );
    for part in [
        &format!("authorization: bearer {KEY}"),
        "x-odoo-database: crm",
        "user-agent: crmferry/",
        "{\"domain\":[]}",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
}

#[tokio::test]
async fn the_version_is_asked_for_without_the_key() {
    let said = http("200 OK", "", br#"{"version":"19.0","version_info":[19,0]}"#);
    let (address, task) = server(vec![said], false).await;
    assert_eq!(client_of(address).version().await, Ok("19.0".to_owned()));
    assert!(!task.await.expect("served")[0].contains(KEY));
}

#[tokio::test]
async fn a_page_instead_of_an_answer_is_unknown() {
    let page = http("200 OK", "content-type: text/html\r\n", b"<html>welcome</html>");
    assert_eq!(ask(page).await, Err(unknown("200 text/html, not JSON")));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    // The target is a port on which nobody listens: following would be `Unreachable`.
    let redirect = http("301 Moved", "location: http://127.0.0.1:1/elsewhere\r\n", b"");
    let Err(RpcError::NotFound { message }) = ask(redirect).await else {
        panic!("not found")
    };
    assert_eq!(message, "301 without a type: it redirects to http://127.0.0.1:1");
}
