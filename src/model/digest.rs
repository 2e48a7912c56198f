//! SHA-256 digests, written `sha256:<hex>`.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, written `sha256:<hex>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Digest of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex(&Sha256::digest(bytes))))
    }

    /// Digest of a value's canonical JSON.
    ///
    /// # Errors
    /// When the value cannot be serialised (a map with keys that are no text).
    pub fn of_json<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::of(canonical_json(value)?.as_bytes()))
    }

    /// The text `sha256:<hex>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
            text
        })
}

/// Compact JSON with the keys of every map sorted: equal values give equal bytes.
///
/// # Errors
/// When the value cannot be serialised.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    // `serde_json::Map` is a BTreeMap unless `preserve_order` is on somewhere; going through it sorts either way.
    let value = serde_json::to_value(value)?;
    serde_json::to_string(&sorted(value))
}

fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            serde_json::Value::Object(entries.into_iter().map(|(k, v)| (k, sorted(v))).collect())
        }
        serde_json::Value::Array(list) => serde_json::Value::Array(list.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_change_a_digest() {
        let a: serde_json::Value = serde_json::from_str(r#"{"b":[{"y":1,"x":2}],"a":1}"#).unwrap();
        let b: serde_json::Value = serde_json::from_str(r#"{"a":1,"b":[{"x":2,"y":1}]}"#).unwrap();
        assert_eq!(Digest::of_json(&a).unwrap(), Digest::of_json(&b).unwrap());
        assert_eq!(canonical_json(&a).unwrap(), r#"{"a":1,"b":[{"x":2,"y":1}]}"#);
    }
}
