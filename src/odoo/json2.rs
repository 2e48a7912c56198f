//! Odoo's JSON-2 API (19 and later). What an answer means is decided by [`classify`], which is pure.

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;

use super::{
    http::{Http, Secret, Server, bounded, is_conflict, of_the_way, retry_after, shape, unreachable},
    rpc::{Args, Rpc, RpcError},
};

/// The name of this API in messages.
const API: &str = "JSON-2 API (Odoo 19)";

/// A connection to a real Odoo.
#[derive(Debug)]
pub struct Json2 {
    http: Http,
    /// With the key in it, marked sensitive; sent with calls only.
    headers: HeaderMap,
}

impl Json2 {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// [`RpcError::Unreachable`] where it cannot work: a bad address, http without `insecure`, a broken certificate.
    pub fn new(server: &Server, api_key: &Secret) -> Result<Self, RpcError> {
        Ok(Self {
            http: Http::new(server)?,
            headers: call_headers(server, api_key).map_err(unreachable)?,
        })
    }
}

#[async_trait]
impl Rpc for Json2 {
    async fn call(&self, model: &str, method: &str, args: Args) -> Result<Value, RpcError> {
        let request = self.http.post(&["json", "2", model, method]);
        let request = request.headers(self.headers.clone()).json(&args);
        // content may be among them: it is in the request now
        drop(args);
        let answer = self.http.send(request).await?;
        classify(answer.status, &answer.headers, &answer.body, Timestamp::now())
    }

    async fn version(&self) -> Result<String, RpcError> {
        let answer = self.http.send(self.http.get(&["web", "version"])).await?;
        let said = classify(answer.status, &answer.headers, &answer.body, Timestamp::now())?;
        let version = said["version"].as_str().map(bounded);
        version.ok_or_else(|| RpcError::Unknown {
            message: "/web/version names no version".to_owned(),
        })
    }
}

/// What an answer means. `now` is for a `Retry-After` that names a date.
///
/// # Errors
/// By kind, as [`RpcError`] describes them. A traceback (`debug`) is never part of it.
pub fn classify(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Value, RpcError> {
    let json = serde_json::from_slice::<Value>(body);
    if (200..300).contains(&status) {
        return json.map_err(|_| RpcError::Unknown {
            message: format!("{}, not JSON", shape(status, headers)),
        });
    }
    // An Odoo error is an object with a name and a message; anything else came from something in between.
    let said = json
        .ok()
        .and_then(|json| Some((json["name"].as_str()?.to_owned(), bounded(json["message"].as_str()?))));
    Err(match said {
        Some((name, message)) => of_odoo(status, &name, message, headers, now),
        None => of_the_way(status, headers, API, now),
    })
}

/// An error that Odoo itself phrased.
fn of_odoo(status: u16, name: &str, message: String, headers: &HeaderMap, now: Timestamp) -> RpcError {
    match status {
        401 => RpcError::Unauthorized,
        403 => RpcError::Forbidden { message },
        404 if name.ends_with(".MissingError") => RpcError::Missing { message },
        404 => RpcError::NotFound { message },
        409 => RpcError::Conflict,
        429 => RpcError::Throttled {
            retry_after: retry_after(headers, now),
        },
        _ if is_conflict(name, &message) => RpcError::Conflict,
        // The server lost its database: whether the transaction was committed, it does not know itself.
        _ if name == "psycopg2.OperationalError" || name == "psycopg2.InterfaceError" => RpcError::Unknown {
            message: format!("{status} {}", bounded(name)),
        },
        400 | 413 | 422 | 500 => RpcError::Rejected {
            name: bounded(name),
            message,
        },
        _ => of_the_way(status, headers, API, now),
    }
}

fn call_headers(server: &Server, api_key: &Secret) -> Result<HeaderMap, &'static str> {
    let mut key = HeaderValue::from_str(&format!("bearer {}", api_key.word()))
        .map_err(|_| "the API key holds characters that no key has")?;
    key.set_sensitive(true);
    let mut headers = HeaderMap::from_iter([(AUTHORIZATION, key)]);
    if !server.database.is_empty() {
        let database = HeaderValue::from_str(&server.database)
            .map_err(|_| "the name of the database holds characters that no header can carry")?;
        headers.insert("x-odoo-database", database);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;
