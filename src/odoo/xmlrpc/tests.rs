use std::{net::SocketAddr, time::Duration};

use super::*;
use crate::{
    args,
    odoo::http::testing::{at, http, nobody, server},
};

const KEY: &str = "s3cr3t-key";
const LOGIN: &str = "mig@acme.test";

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().expect("a time")
}

fn login(secret: &str) -> Login {
    Login {
        login: Secret::new(LOGIN),
        secret: Secret::new(secret),
    }
}

fn client_of(address: SocketAddr) -> XmlRpc {
    XmlRpc::new(&at(address), login(KEY)).expect("good options")
}

/// A whole HTTP answer with this value.
fn says(value: &str) -> Vec<u8> {
    let xml = format!(
        "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value>{value}</value>\n</param>\n</params>\n</methodResponse>\n"
    );
    http("200 OK", "content-type: text/xml; charset=utf-8\r\n", xml.as_bytes())
}

fn fault_body(code: i64, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<?xml version=\"1.0\"?>\n<methodResponse>\n<fault>\n<value><struct>\n<member>\n<name>faultCode</name>\n<value><int>{code}</int></value>\n\
         </member>\n<member>\n<name>faultString</name>\n<value><string>{text}</string></value>\n</member>\n</struct></value>\n</fault>\n\n</methodResponse>\n"
    )
}

/// What a fault in answer to `res.partner.write` means.
fn of_fault(code: i64, text: &str) -> RpcError {
    let answer = Answer {
        status: 200,
        headers: reqwest::header::HeaderMap::new(),
        body: fault_body(code, text).into_bytes(),
    };
    classify(&answer, ("res.partner", "write"), now()).expect_err("a fault")
}

fn traceback(last: &str) -> String {
    format!(
        "Traceback (most recent call last):\n  File \"/usr/lib/odoo/service/model.py\", line 190, in retrying\n    result = func()\n             \
         ^^^^^^\n  File \"/usr/lib/odoo/orm/fields.py\", line 9, in convert\n    raise ValueError(\"s3cr3t \" + value)\n{last}\n"
    )
}

fn chained(last: &str) -> String {
    format!(
        "{}\nThe above exception was the direct cause of the following exception:\n\n{}",
        traceback("KeyError: 'first'"),
        traceback(last)
    )
}

fn rejected_by(name: &str, message: &str) -> RpcError {
    RpcError::Rejected {
        name: name.into(),
        message: message.into(),
    }
}

fn not_found(message: &str) -> RpcError {
    RpcError::NotFound {
        message: message.into(),
    }
}

fn unknown(message: &str) -> RpcError {
    RpcError::Unknown {
        message: message.into(),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn a_fault_means_what_its_code_and_its_words_say() {
    let gone = "Record does not exist or has been deleted.\n(Record: res.partner(999,), User: 2)";
    for (code, text, expected) in [
        (3, "Access Denied".to_owned(), RpcError::Unauthorized),
        (
            4,
            "Private methods (such as 'res.partner._write') cannot be called remotely.".to_owned(),
            RpcError::Forbidden {
                message: "Private methods (such as 'res.partner._write') cannot be called remotely.".into(),
            },
        ),
        (
            2,
            gone.to_owned(),
            RpcError::Missing {
                message: gone.replace('\n', " "),
            },
        ),
        (
            2,
            "Object res.partner doesn't exist".to_owned(),
            not_found("Object res.partner doesn't exist"),
        ),
        (
            2,
            "Object crm.lead doesn't exist".to_owned(),
            rejected_by("odoo.exceptions.UserError", "Object crm.lead doesn't exist"),
        ),
        (2, "Cannot grab a lock on records".to_owned(), RpcError::Conflict),
        (
            2,
            "The operation cannot be completed: a\nb".to_owned(),
            rejected_by("odoo.exceptions.UserError", "The operation cannot be completed: a b"),
        ),
        (
            1,
            traceback("psycopg2.errors.SerializationFailure: could not serialize access due to concurrent update"),
            RpcError::Conflict,
        ),
        (
            1,
            chained("psycopg2.errors.DeadlockDetected: deadlock detected\nDETAIL:  Process 1 waits"),
            RpcError::Conflict,
        ),
        (
            1,
            traceback("odoo.exceptions.ConcurrencyError: again"),
            RpcError::Conflict,
        ),
        (
            1,
            traceback("AttributeError: The method 'res.partner.write' does not exist"),
            not_found("The method 'res.partner.write' does not exist"),
        ),
        (
            1,
            traceback("AttributeError: type object 'res.partner' has no attribute 'write'"),
            not_found("type object 'res.partner' has no attribute 'write'"),
        ),
        (
            1,
            traceback("AttributeError: 'NoneType' object has no attribute 'write'"),
            rejected_by("AttributeError", "'NoneType' object has no attribute 'write'"),
        ),
        (
            1,
            chained(
                "psycopg2.OperationalError: connection to server on socket \"/run/.s.PGSQL.5432\" failed: FATAL:  database \"nope\" does not exist\n",
            ),
            not_found("there is no such database"),
        ),
        (
            1,
            traceback("psycopg2.OperationalError: server closed the connection unexpectedly"),
            unknown("fault 1 psycopg2.OperationalError"),
        ),
        (
            1,
            traceback("psycopg2.InterfaceError: cursor already closed"),
            unknown("fault 1 psycopg2.InterfaceError"),
        ),
        (
            1,
            traceback("TypeError: cannot marshal None unless allow_none is enabled"),
            unknown("the answer holds what XML-RPC cannot carry: cannot marshal None unless allow_none is enabled"),
        ),
        (
            1,
            traceback("OverflowError: int exceeds XML-RPC limits"),
            unknown("the answer holds what XML-RPC cannot carry: int exceeds XML-RPC limits"),
        ),
        (
            1,
            chained("ValueError: Invalid field 'nope' in 'res.partner'"),
            rejected_by("ValueError", "Invalid field 'nope' in 'res.partner'"),
        ),
        (
            1,
            traceback("psycopg2.errors.InvalidTextRepresentation: invalid input syntax\nLINE 1: …\n    ^"),
            rejected_by(
                "psycopg2.errors.InvalidTextRepresentation",
                "invalid input syntax LINE 1: …     ^",
            ),
        ),
        (1, traceback("KeyError"), rejected_by("KeyError", "")),
        (
            1,
            "no traceback at all".to_owned(),
            rejected_by("fault 1", "no traceback at all"),
        ),
        (7, "s3cr3t".to_owned(), unknown("fault 7, which Odoo does not have")),
    ] {
        assert_eq!(of_fault(code, &text), expected, "{code} {text}");
    }
}

#[test]
fn a_traceback_is_never_shown() {
    for text in [traceback("ValueError: x"), chained("ValueError: x"), traceback("")] {
        let shown = format!("{:?}", of_fault(1, &text));
        assert!(!shown.contains("s3cr3t") && !shown.contains("File"), "{shown}");
    }
    let RpcError::Rejected { message, .. } = of_fault(1, &traceback(&format!("ValueError: {}", "ç".repeat(5000))))
    else {
        panic!("rejected")
    };
    assert_eq!(message.chars().count(), 300);
}

#[tokio::test]
async fn a_call_logs_in_once_and_sends_what_execute_kw_wants() {
    let (address, task) = server(
        vec![says("<int>7</int>"), says("<boolean>1</boolean>"), says("<nil/>")],
        false,
    )
    .await;
    let client = client_of(address);
    let args = || args!({"ids": [3], "vals": {"name": "a & b"}});
    assert_eq!(client.call("res.partner", "write", args()).await, Ok(Value::Bool(true)));
    assert_eq!(client.call("res.partner", "write", args()).await, Ok(Value::Null));
    let requests = task.await.expect("served");
    let [login, write, again] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert!(login.starts_with("POST /xmlrpc/2/common HTTP/1.1\r\n"), "{login}");
    for part in [
        "user-agent: crmferry/",
        "content-type: text/xml",
        "<methodName>authenticate</methodName>",
        &format!(
            "<string>crm</string></value></param><param><value><string>{LOGIN}</string></value></param><param><value><string>{KEY}</string>"
        ),
    ] {
        assert!(login.contains(part), "{part} in {login}");
    }
    assert!(write.starts_with("POST /xmlrpc/2/object HTTP/1.1\r\n"), "{write}");
    let (_, body) = write.split_once("\r\n\r\n").expect("a body");
    assert_eq!(
        body,
        format!(
            "<?xml version=\"1.0\"?><methodCall><methodName>execute_kw</methodName><params>\
             <param><value><string>crm</string></value></param><param><value><int>7</int></value></param>\
             <param><value><string>{KEY}</string></value></param><param><value><string>res.partner</string></value></param>\
             <param><value><string>write</string></value></param>\
             <param><value><array><data><value><array><data><value><int>3</int></value></data></array></value>\
             <value><struct><member><name>name</name><value><string>a &amp; b</string></value></member></struct></value></data></array></value></param>\
             <param><value><struct><member><name>context</name><value><struct><member><name>lang</name>\
             <value><string>en_US</string></value></member></struct></value></member></struct></value></param>\
             </params></methodCall>"
        )
    );
    assert!(again.contains("<methodName>execute_kw</methodName>"), "{again}");
}

#[tokio::test]
async fn a_login_that_odoo_does_not_know_is_unauthorized() {
    let (address, _task) = server(vec![says("<boolean>0</boolean>")], false).await;
    let answer = client_of(address)
        .call("res.partner", "search", args!({"domain": []}))
        .await;
    assert_eq!(answer, Err(RpcError::Unauthorized));
}

#[tokio::test]
async fn the_version_is_asked_for_without_the_key() {
    let version = "<struct><member><name>server_version</name><value><string>17.0+e</string></value></member></struct>";
    let (address, task) = server(vec![says(version)], false).await;
    assert_eq!(client_of(address).version().await, Ok("17.0+e".to_owned()));
    assert!(!task.await.expect("served")[0].contains(KEY));
}

#[tokio::test]
async fn a_look_tells_a_server_that_has_the_database_from_one_that_does_not() {
    let no_such = fault_body(
        1,
        &traceback("psycopg2.OperationalError: FATAL:  database \"crm\" does not exist"),
    );
    for (answer, expected) in [
        (says("<boolean>0</boolean>"), Ok(())),
        (
            http("200 OK", "", no_such.as_bytes()),
            Err(not_found("there is no such database")),
        ),
        (
            http("404 Not Found", "content-type: text/html\r\n", b"<h1>"),
            Err(not_found("404 text/html: no such database, or no XML-RPC here")),
        ),
    ] {
        let (address, _task) = server(vec![answer], false).await;
        assert_eq!(XmlRpc::look(&at(address)).await, expected);
    }
}

#[tokio::test]
async fn a_text_that_xml_cannot_carry_is_refused_before_it_is_sent() {
    let (address, task) = server(vec![says("<int>7</int>")], false).await;
    let client = client_of(address);
    let args = args!({"vals_list": [{"name": "good"}, {"name": "bad", "comment": "a\u{b}b"}]});
    let message = "vals_list[1].comment holds the character U+000B, which XML-RPC cannot carry";
    assert_eq!(
        client.call("res.partner", "create", args).await,
        Err(rejected_by("NotXml", message))
    );
    let args = args!({"fields": ["id", "name"], "data": [["t1", "a\u{0}b"]]});
    let message = "data[0].name holds the character U+0000, which XML-RPC cannot carry";
    assert_eq!(
        client.call("crm.team", "load", args).await,
        Err(rejected_by("NotXml", message))
    );
    assert_eq!(task.await.expect("served").len(), 1, "the login alone was sent");
}

/// What a call gets where the server answers it like that.
async fn ask(answer: Vec<u8>, hang: bool) -> Result<Value, RpcError> {
    let (address, _task) = server(vec![says("<int>7</int>"), answer], hang).await;
    client_of(address)
        .call("res.partner", "search", args!({"domain": []}))
        .await
}

#[tokio::test]
async fn whatever_comes_instead_of_an_answer_is_told_by_its_kind() {
    let html = "content-type: text/html\r\n";
    let xml = "content-type: text/xml\r\n";
    let bomb = b"<!DOCTYPE a [<!ENTITY a \"aa\">]><methodResponse><params><param><value>&a;</value></param></params></methodResponse>";
    for (answer, expected) in [
        (
            http("200 OK", html, b"<html>welcome</html>"),
            unknown("200 text/html, not XML-RPC: it has another root, or another element where one is due"),
        ),
        (
            http("200 OK", xml, b"<methodResponse><params><param><value><int>1"),
            unknown("200 text/xml, not XML-RPC: it is not well-formed, or cut off"),
        ),
        (
            http("200 OK", xml, bomb),
            unknown("200 text/xml, not XML-RPC: it declares a document type"),
        ),
        (http("500 Oops", html, b"<h1>"), unknown("500 text/html")),
        (http("502 Bad", html, b"<h1>"), unknown("502 text/html")),
        (
            http("413 Big", html, b"<h1>"),
            rejected_by("413", "the call is too large"),
        ),
        (
            http("429 Wait", "retry-after: 7\r\n", b""),
            RpcError::Throttled {
                retry_after: Some(Duration::from_secs(7)),
            },
        ),
        (
            // the target is a port on which nobody listens: following would be `Unreachable`
            http("301 Moved", "location: http://127.0.0.1:1/elsewhere\r\n", b""),
            not_found("301 without a type: it redirects to http://127.0.0.1:1"),
        ),
    ] {
        assert_eq!(ask(answer, false).await, Err(expected));
    }
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n<methodResponse>".to_vec();
    assert_eq!(ask(half.clone(), true).await, Err(unknown("timeout after 0.3 s")));
    let Err(RpcError::Unknown { message }) = ask(half, false).await else {
        panic!("unknown")
    };
    assert!(message.starts_with("the connection broke"), "{message}");
}

#[tokio::test]
async fn where_nobody_listens_odoo_is_unreachable_and_the_key_is_seen_nowhere() {
    let client = client_of(nobody().await);
    let Err(error) = client.call("res.partner", "search", Args::new()).await else {
        panic!("an error")
    };
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
    for shown in [format!("{client:?}"), format!("{error:?}")] {
        assert!(!shown.contains(KEY) && !shown.contains(LOGIN), "{shown}");
    }
    let broken = XmlRpc::new(&Server::new("https://acme.test", "crm"), login("bad\u{7}key"));
    let shown = format!("{broken:?}");
    assert!(
        shown.contains("API key or password") && !shown.contains("bad"),
        "{shown}"
    );
}
