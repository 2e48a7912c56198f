//! How long to wait for a server that does not answer. Asking for patience (429) is [`super::limits`]' matter.

use std::time::Duration;

use serde_json::Value;

use super::rpc::{Args, Rpc, RpcError};

/// Waits before giving up: 63 s in all where each doubles from one second.
const TRIES: u32 = 6;

/// The wait before the next try of a call that changed nothing, or changes nothing when repeated; `None`: give it up.
/// `tries` is the number of waits already made.
pub(super) fn wait_to_repeat(error: &RpcError, tries: u32) -> Option<Duration> {
    if matches!(error, RpcError::Unknown { .. }) && tries < TRIES {
        return Some(Duration::from_secs(1 << tries));
    }
    wait_if_unsent(error, tries)
}

/// As [`wait_to_repeat`], but only where it is certain that Odoo carried nothing out.
pub(super) fn wait_if_unsent(error: &RpcError, tries: u32) -> Option<Duration> {
    if tries >= TRIES {
        return None;
    }
    match error {
        // `load` says so in its answer, where the limits do not see it
        RpcError::Conflict => Some(Duration::from_millis(100 << tries)),
        RpcError::Unreachable { .. } => Some(Duration::from_secs(1 << tries)),
        RpcError::Unauthorized
        | RpcError::Forbidden { .. }
        | RpcError::NotFound { .. }
        | RpcError::Missing { .. }
        | RpcError::Rejected { .. }
        | RpcError::Throttled { .. }
        | RpcError::Unknown { .. } => None,
    }
}

/// A call whose repetition does no harm, patiently.
pub(super) async fn call(rpc: &dyn Rpc, model: &str, method: &str, args: Args) -> Result<Value, RpcError> {
    let mut tries = 0;
    loop {
        match rpc.call(model, method, args.clone()).await {
            Ok(value) => return Ok(value),
            Err(error) => match wait_to_repeat(&error, tries) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            },
        }
        tries += 1;
    }
}

/// The answer is not what the method gives.
pub(super) fn odd(what: &str) -> RpcError {
    RpcError::Unknown {
        message: format!("{what} answered in another shape"),
    }
}

/// A list of ids, as `create` and `search` answer.
pub(super) fn ids(answer: &Value, what: &str) -> Result<Vec<i64>, RpcError> {
    answer
        .as_array()
        .and_then(|list| list.iter().map(Value::as_i64).collect())
        .ok_or_else(|| odd(what))
}

/// A list of records, as `search_read` answers.
pub(super) fn rows<'a>(answer: &'a Value, what: &str) -> Result<Vec<&'a serde_json::Map<String, Value>>, RpcError> {
    answer
        .as_array()
        .and_then(|list| list.iter().map(Value::as_object).collect())
        .ok_or_else(|| odd(what))
}

/// A whole number of a record.
pub(super) fn integer(row: &serde_json::Map<String, Value>, field: &str) -> Result<i64, RpcError> {
    row.get(field).and_then(Value::as_i64).ok_or_else(|| odd(field))
}

/// A text of a record; Odoo's `false` is the empty text.
pub(super) fn text<'a>(row: &'a serde_json::Map<String, Value>, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_waited_for_and_not_for_ever() {
        let unknown = RpcError::Unknown { message: String::new() };
        let refused = RpcError::Rejected {
            name: String::new(),
            message: String::new(),
        };
        for (error, tries, repeat, unsent) in [
            (&unknown, 0, Some(1_000), None),
            (&unknown, 5, Some(32_000), None),
            (&unknown, 6, None, None),
            (&RpcError::Conflict, 1, Some(200), Some(200)),
            (&RpcError::Throttled { retry_after: None }, 0, None, None),
            (&refused, 0, None, None),
            (&RpcError::Unauthorized, 0, None, None),
        ] {
            assert_eq!(
                wait_to_repeat(error, tries),
                repeat.map(Duration::from_millis),
                "{error} {tries}"
            );
            assert_eq!(
                wait_if_unsent(error, tries),
                unsent.map(Duration::from_millis),
                "{error} {tries}"
            );
        }
    }
}
