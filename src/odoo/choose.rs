//! Which of an Odoo's APIs is called, and with which words of the Secret. Pure: what the server has was asked before.

use std::fmt;

use super::{http::Secret, rpc::RpcError, xmlrpc::Login};

/// What the Secret of an Odoo holds.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// Key `apiKey`.
    pub api_key: Option<Secret>,
    /// Key `login`.
    pub login: Option<Secret>,
    /// Key `password`.
    pub password: Option<Secret>,
}

/// What is called next.
#[derive(Clone, Debug)]
pub enum Choice {
    /// JSON-2, with the API key; whether the server has it shows.
    Json2(Secret),
    /// XML-RPC.
    XmlRpc(Login, Why),
    /// Nothing, before this is in the Secret; and the keys that it should have.
    Missing(&'static str, &'static [&'static str]),
}

/// Why it is XML-RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// What the server said where JSON-2 would be.
    NoJson2(String),
    /// JSON-2 takes no passwords.
    NoApiKey,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJson2(said) => write!(f, "the server has no JSON-2 ({said})"),
            Self::NoApiKey => f.write_str("the Secret has no apiKey, and JSON-2 takes no password"),
        }
    }
}

/// Chooses. `json2` is how JSON-2 refused a call with the API key, where it was tried.
///
/// # Errors
/// The refusal, where it does not say that the server has no JSON-2.
pub fn choose(words: &Words, json2: Option<&RpcError>) -> Result<Choice, RpcError> {
    let Words {
        api_key,
        login,
        password,
    } = words.clone();
    let why = match (&api_key, json2) {
        (Some(key), None) => return Ok(Choice::Json2(key.clone())),
        (_, Some(RpcError::NotFound { message })) => {
            let said = message.split_once(": ").map_or(message.as_str(), |(said, _)| said);
            Why::NoJson2(said.to_owned())
        }
        (_, Some(error)) => return Err(error.clone()),
        (None, None) => Why::NoApiKey,
    };
    Ok(match (login, api_key.or(password)) {
        (Some(login), Some(secret)) => Choice::XmlRpc(Login { login, secret }, why),
        (None, Some(_)) if matches!(why, Why::NoJson2(_)) => {
            Choice::Missing("login, since the server has no JSON-2", &["apiKey", "login"])
        }
        (None, Some(_)) => Choice::Missing("apiKey, or login beside password", &["apiKey"]),
        (Some(_), None) => Choice::Missing("apiKey, or password beside login", &["apiKey"]),
        (None, None) => Choice::Missing("apiKey", &["apiKey"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(given: &str) -> Words {
        let word = |name: &str| given.contains(name).then(|| Secret::new(name));
        Words {
            api_key: word("apiKey"),
            login: word("login"),
            password: word("password"),
        }
    }

    #[test]
    fn json2_comes_first_and_xml_rpc_where_the_server_or_the_secret_lacks_it() {
        let absent = || {
            let message = "404 text/html: no such database".to_owned();
            Some(RpcError::NotFound { message })
        };
        for (given, json2, expected) in [
            ("apiKey", None, "json2"),
            ("apiKey login password", None, "json2"),
            (
                "apiKey login",
                absent(),
                "xmlrpc with apiKey: the server has no JSON-2 (404 text/html)",
            ),
            (
                "apiKey login password",
                absent(),
                "xmlrpc with apiKey: the server has no JSON-2 (404 text/html)",
            ),
            ("apiKey", absent(), "missing login, since the server has no JSON-2"),
            (
                "apiKey password",
                absent(),
                "missing login, since the server has no JSON-2",
            ),
            (
                "login password",
                None,
                "xmlrpc with password: the Secret has no apiKey, and JSON-2 takes no password",
            ),
            ("password", None, "missing apiKey, or login beside password"),
            ("login", None, "missing apiKey, or password beside login"),
            ("", None, "missing apiKey"),
            ("apiKey login", Some(RpcError::Unauthorized), "Odoo refuses the API key"),
            (
                "apiKey login",
                Some(RpcError::Unknown {
                    message: "502".to_owned(),
                }),
                "Odoo gave no usable answer: 502",
            ),
        ] {
            let told = match choose(&words(given), json2.as_ref()) {
                Ok(Choice::Json2(_)) => "json2".to_owned(),
                Ok(Choice::XmlRpc(Login { secret, .. }, why)) => format!("xmlrpc with {}: {why}", secret.word()),
                Ok(Choice::Missing(word, _)) => format!("missing {word}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(told, expected, "{given}");
        }
    }
}
