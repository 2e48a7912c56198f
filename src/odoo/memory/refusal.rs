//! Odoo's refusals, in its own words where they say more than the kind.

use crate::odoo::rpc::RpcError;

pub(super) type Outcome<T> = Result<T, RpcError>;

fn rejected(name: &str, message: impl Into<String>) -> RpcError {
    RpcError::Rejected {
        name: name.to_owned(),
        message: message.into(),
    }
}

/// 500: unknown fields, wrong types, bad domains.
pub(super) fn value(message: impl Into<String>) -> RpcError {
    rejected("builtins.ValueError", message)
}

/// 422: constraints.
pub(super) fn validation(message: impl Into<String>) -> RpcError {
    rejected("odoo.exceptions.ValidationError", message)
}

/// 422: what a person may not do.
pub(super) fn user(message: impl Into<String>) -> RpcError {
    rejected("odoo.exceptions.UserError", message)
}

/// 422: arguments.
pub(super) fn arguments(message: impl Into<String>) -> RpcError {
    rejected("werkzeug.exceptions.UnprocessableEntity", message)
}

/// 500 of the database.
pub(super) fn database(kind: &str, message: impl Into<String>) -> RpcError {
    rejected(&format!("psycopg2.errors.{kind}"), message)
}

/// 404: model, method.
pub(super) const fn not_found(message: String) -> RpcError {
    RpcError::NotFound { message }
}

/// 404: a record.
pub(super) fn missing(model: &str, id: i64) -> RpcError {
    RpcError::Missing {
        message: format!("Record does not exist or has been deleted. (Record: {model}({id},), User: 2)"),
    }
}

/// 422: a record that others hold on to, or a reference to none.
pub(super) fn referenced(model: &str, field: &str) -> RpcError {
    validation(format!(
        "The operation cannot be completed: Another model is using the record you are trying to delete.  The troublemaker \
         is: {model} Thanks to the following constraint: {field} How about archiving the record instead?"
    ))
}
