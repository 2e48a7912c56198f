//! Odoo's XML-RPC, for servers without JSON-2: any version with an API key or a password. What an answer means is decided
//! by [`classify`], which is pure.

mod arguments;
mod codec;
mod fault;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use self::{
    arguments::Call,
    codec::{Refused, Reply},
};
use super::{
    http::{Answer, Http, Secret, Server, bounded, of_the_way, shape, unreachable},
    rpc::{Args, Rpc, RpcError},
};

/// Who calls. An API key stands in a password's place.
#[derive(Clone, Debug)]
pub struct Login {
    /// Name that the user logs in with: mostly an address.
    pub login: Secret,
    /// API key or password.
    pub secret: Secret,
}

/// A connection to a real Odoo.
#[derive(Debug)]
pub struct XmlRpc {
    http: Http,
    database: String,
    login: Login,
    /// The user, once Odoo has said who it is.
    uid: OnceCell<i64>,
}

impl XmlRpc {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// [`RpcError::Unreachable`] where it cannot work: a bad address, http without `insecure`, a broken certificate, a
    /// login that XML cannot carry.
    pub fn new(server: &Server, login: Login) -> Result<Self, RpcError> {
        for (name, word) in [
            ("database", server.database.as_str()),
            ("login", login.login.word()),
            ("API key or password", login.secret.word()),
        ] {
            codec::request("", &[&json!(word)])
                .map_err(|_| unreachable(format!("the {name} holds characters that XML-RPC cannot carry")))?;
        }
        Ok(Self {
            http: Http::new(server)?,
            database: server.database.clone(),
            login,
            uid: OnceCell::new(),
        })
    }

    async fn send(&self, service: &str, body: String) -> Result<Answer, RpcError> {
        let request = self
            .http
            .post(&["xmlrpc", "2", service])
            .header(CONTENT_TYPE, "text/xml");
        self.http.send(request.body(body)).await
    }

    /// Whether the server has XML-RPC, and the database.
    ///
    /// # Errors
    /// What stands in the way of either.
    pub async fn look(server: &Server) -> Result<(), RpcError> {
        let nobody = Secret::new("");
        let login = Login {
            login: nobody.clone(),
            secret: nobody,
        };
        match Self::new(server, login)?.uid().await {
            Ok(_) | Err(RpcError::Unauthorized) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The user's id.
    async fn uid(&self) -> Result<i64, RpcError> {
        let ask = async {
            let (database, login) = (json!(self.database), json!(self.login.login.word()));
            let (secret, agent) = (json!(self.login.secret.word()), json!({}));
            let call = codec::request("authenticate", &[&database, &login, &secret, &agent])
                .expect("the words were looked at when the connection was made");
            let answer = self.send("common", call).await?;
            match classify(&answer, ("common", "authenticate"), Timestamp::now())? {
                Value::Bool(false) => Err(RpcError::Unauthorized),
                uid => uid.as_i64().ok_or_else(|| RpcError::Unknown {
                    message: "authenticate names no user".to_owned(),
                }),
            }
        };
        self.uid.get_or_try_init(|| ask).await.copied()
    }
}

#[async_trait]
impl Rpc for XmlRpc {
    async fn call(&self, model: &str, method: &str, args: Args) -> Result<Value, RpcError> {
        let uid = self.uid().await?;
        let call = arguments::call(method, args);
        let (database, uid, secret) = (json!(self.database), json!(uid), json!(self.login.secret.word()));
        let who = [&database, &uid, &secret, &json!(model), &json!(call.method)];
        let body = codec::execute_kw(&who, &call.list, &call.named).map_err(|refused| rejected(&call, &refused))?;
        let answer = self.send("object", body).await?;
        classify(&answer, (model, call.method), Timestamp::now())
    }

    async fn version(&self) -> Result<String, RpcError> {
        let call = codec::request("version", &[]).expect("it carries no text");
        let answer = self.send("common", call).await?;
        let said = classify(&answer, ("common", "version"), Timestamp::now())?;
        let version = said["server_version"].as_str().map(bounded);
        version.ok_or_else(|| RpcError::Unknown {
            message: "the server names no version".to_owned(),
        })
    }
}

/// What an answer to a call of a model's method means. `now` is for a `Retry-After` that names a date.
fn classify(answer: &Answer, (model, method): (&str, &str), now: Timestamp) -> Result<Value, RpcError> {
    let Answer { status, headers, body } = answer;
    if !(200..300).contains(status) {
        return Err(of_the_way(*status, headers, "XML-RPC", now));
    }
    match codec::reply(body) {
        Ok(Reply::Value(value)) => Ok(value),
        Ok(Reply::Fault(code, text)) => Err(fault::error(code, &text, model, method)),
        Err(why) => Err(RpcError::Unknown {
            message: format!("{}, not XML-RPC: {why}", shape(*status, headers)),
        }),
    }
}

/// Nothing was sent.
fn rejected(call: &Call<'_>, refused: &Refused) -> RpcError {
    RpcError::Rejected {
        name: "NotXml".to_owned(),
        message: format!(
            "{} holds the character U+{:04X}, which XML-RPC cannot carry",
            bounded(&call.place(&refused.place)),
            u32::from(refused.character)
        ),
    }
}

#[cfg(test)]
mod tests;
