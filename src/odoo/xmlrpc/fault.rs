//! What a fault of Odoo means. Pure. The text of fault 1 is a traceback, which may quote data: of it the exception alone
//! is kept, and its sentence goes where records' own sentences go.

use crate::odoo::{
    http::{bounded, is_conflict},
    rpc::RpcError,
};

/// The error that a fault of `model.method` stands for.
pub(super) fn error(code: i64, text: &str, model: &str, method: &str) -> RpcError {
    match code {
        1 => exception(text, model, method),
        2 => warning(text, model),
        3 => RpcError::Unauthorized,
        4 => RpcError::Forbidden { message: bounded(text) },
        _ => RpcError::Unknown {
            message: format!("fault {code}, which Odoo does not have"),
        },
    }
}

/// A sentence for people: refused data, mostly. The others can be told by their words alone.
fn warning(text: &str, model: &str) -> RpcError {
    let message = bounded(text);
    if text.starts_with("Record does not exist or has been deleted.") {
        return RpcError::Missing { message };
    }
    if text == format!("Object {model} doesn't exist") {
        return RpcError::NotFound { message };
    }
    if text == "Cannot grab a lock on records" || is_conflict("", text) {
        return RpcError::Conflict;
    }
    RpcError::Rejected {
        name: "odoo.exceptions.UserError".to_owned(),
        message,
    }
}

/// An exception that was not foreseen, with its traceback.
fn exception(text: &str, model: &str, method: &str) -> RpcError {
    let (name, said) = last_exception(text);
    let message = bounded(said);
    if is_conflict(name, said) || name.ends_with("ConcurrencyError") {
        return RpcError::Conflict;
    }
    if name == "AttributeError"
        && (said.contains(&format!("'{model}.{method}' does not exist"))
            || said.contains(&format!("'{model}' has no attribute '{method}'"))
            || said.contains(&format!("'{model}' object has no attribute '{method}'")))
    {
        return RpcError::NotFound { message };
    }
    if name.ends_with("OperationalError") || name.ends_with("InterfaceError") {
        if said.contains("FATAL:  database \"") && said.contains("\" does not exist") {
            return RpcError::NotFound {
                message: "there is no such database".to_owned(),
            };
        }
        // The server lost its database: whether the transaction was committed, it does not know itself.
        return RpcError::Unknown {
            message: format!("fault 1 {name}"),
        };
    }
    // The call was carried out; its result cannot be told.
    if said.starts_with("cannot marshal ") || said.starts_with("int exceeds XML-RPC limits") {
        return RpcError::Unknown {
            message: format!("the answer holds what XML-RPC cannot carry: {message}"),
        };
    }
    RpcError::Rejected {
        name: name.to_owned(),
        message,
    }
}

/// Class and sentence of the exception that ended it: what follows the frames of the last traceback.
fn last_exception(text: &str) -> (&str, &str) {
    const HEAD: &str = "Traceback (most recent call last):\n";
    let last = match text.rfind(&format!("\n{HEAD}")) {
        Some(place) => &text[place + 1 + HEAD.len()..],
        None => text.strip_prefix(HEAD).unwrap_or(text),
    };
    let mut rest = last;
    while rest.starts_with(' ') {
        rest = rest.split_once('\n').map_or("", |(_, after)| after);
    }
    let class = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
    let line = rest.lines().next().unwrap_or_default();
    match line.split_once(':').filter(|(name, _)| class(name)) {
        Some((name, _)) => (name, rest[name.len() + 1..].trim()),
        None if class(&line) => (line, ""),
        None => ("fault 1", rest.trim()),
    }
}
