//! A scripted API server: every request is expected, in order, and none is left over.

use http::{Method, Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tower_test::mock::Handle;

use super::{Context, Settings, WorkerSettings};
use crate::api::Migration;

/// One expected request and the answer to it.
pub(super) struct Exchange {
    method: Method,
    path: &'static str,
    check: Box<dyn FnOnce(&Value) + Send>,
    answer: (u16, Value),
}

/// Expects a request with this method and this path (with its query, if that is given), and answers it.
pub(super) fn on(method: Method, path: &'static str, code: u16, answer: Value) -> Exchange {
    Exchange {
        method,
        path,
        check: Box::new(|_| {}),
        answer: (code, answer),
    }
}

impl Exchange {
    /// Looks at the request's body too.
    pub(super) fn with(mut self, check: impl FnOnce(&Value) + Send + 'static) -> Self {
        self.check = Box::new(check);
        self
    }
}

/// A failure as the API server words it.
pub(super) fn failure(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code})
}

/// Runs `test` against the script; fails unless every exchange took place and no other.
pub(super) async fn against<T>(script: Vec<Exchange>, test: impl AsyncFnOnce(Context) -> T) -> T {
    let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let server = tokio::spawn(play(handle, script));
    let settings = Settings {
        watch_namespaces: Vec::new(),
        worker_image: "crmferry:1".into(),
        worker: WorkerSettings::default(),
        listen: ([127, 0, 0, 1], 0).into(),
    };
    let context = Context::new(Client::new(service, "default"), settings, || {
        jiff::Timestamp::UNIX_EPOCH
    });
    let result = test(context).await;
    server.await.expect("the script was played to its end");
    result
}

async fn play(mut handle: Handle<Request<Body>, Response<Body>>, script: Vec<Exchange>) {
    for exchange in script {
        let (request, reply) = handle.next_request().await.expect("another request");
        let (method, uri) = (request.method().clone(), request.uri().to_string());
        let found = if exchange.path.contains('?') {
            uri.as_str()
        } else {
            request.uri().path()
        };
        assert_eq!((&method, found), (&exchange.method, exchange.path), "{uri}");
        let body = request.into_body().collect_bytes().await.expect("a body");
        (exchange.check)(&serde_json::from_slice(&body).unwrap_or(Value::Null));
        let answer = Response::builder().status(exchange.answer.0);
        let body = Body::from(serde_json::to_vec(&exchange.answer.1).expect("JSON"));
        reply.send_response(answer.body(body).expect("a response"));
    }
    assert!(handle.next_request().await.is_none(), "one request too many");
}

/// A Migration as an API server would send it.
pub(super) fn migration(status: &Value) -> Migration {
    let value = json!({
        "apiVersion": "crmferry.io/v1alpha1", "kind": "Migration",
        "metadata": {"name": "acme", "namespace": "ferry", "uid": "u1", "generation": 3, "resourceVersion": "41"},
        "spec": {
            "mappingSpecRef": {"name": "pipz"},
            "source": {"account": "acme", "files": {"path": "exports/"}},
            "destination": {"odoo": {"url": "https://odoo.example", "database": "acme", "secretRef": {"name": "odoo"},
                "caBundle": {"configMapKeyRef": {"name": "corp-ca", "key": "ca.crt"}}}},
            "workspace": {"persistentVolumeClaim": {"claimName": "ferry"}}
        },
        "status": status
    });
    serde_json::from_value(value).expect("a Migration")
}
