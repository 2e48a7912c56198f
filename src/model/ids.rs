//! Identities: the key of a source record, and the external id it gives in Odoo.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::digest::hex;

/// Name of an Odoo model, such as `res.partner`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OdooModel(pub String);

impl fmt::Display for OdooModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Canonical, escaped text of a source key: parts joined by `__`, each byte outside `A-Za-z0-9-` as `_XX`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceKey(pub String);

impl SourceKey {
    /// The key of these parts (canonical text of each, not escaped yet).
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = String::new();
        for (place, part) in parts.into_iter().enumerate() {
            if place > 0 {
                text.push_str("__");
            }
            escape_into(part, &mut text);
        }
        Self(text)
    }
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn escape_into(part: &str, text: &mut String) {
    use fmt::Write;
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            text.push(char::from(byte));
        } else {
            write!(text, "_{byte:02X}").expect("writing to a String cannot fail");
        }
    }
}

/// A record's identity in Odoo: module and name in `ir.model.data`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExternalId {
    /// Module, such as `crmferry_pipz_acme`.
    pub module: String,
    /// Name, such as `contacts_4711`.
    pub name: String,
}

/// Longest name of an external id that is not shortened.
const NAME_MAX: usize = 128;
/// What is kept of a longer one.
const NAME_HEAD: usize = 95;

impl ExternalId {
    /// The identity of an object's record.
    #[must_use]
    pub fn of(module: &str, object: &str, key: &SourceKey) -> Self {
        let full = format!("{object}_{key}");
        let name = if full.len() <= NAME_MAX {
            full
        } else {
            // the text is ASCII: every byte is a character
            let digest = hex(&Sha256::digest(full.as_bytes()));
            format!("{}_{}", &full[..NAME_HEAD], &digest[..32])
        };
        Self {
            module: module.to_owned(),
            name,
        }
    }

    /// The key that the name of an object's external id was made of; `None` of another object's, or where it may have been
    /// shortened.
    #[must_use]
    pub fn key_in(object: &str, name: &str) -> Option<SourceKey> {
        let key = name.strip_prefix(object)?.strip_prefix('_')?;
        (name.len() < NAME_MAX).then(|| SourceKey(key.to_owned()))
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped_byte_by_byte_and_parts_joined() {
        for (parts, wanted) in [
            (vec!["4711"], "4711"),
            (vec!["a b", "c_d"], "a_20b__c_5Fd"),
            (vec!["São"], "S_C3_A3o"),
            (vec!["a-b.c"], "a-b_2Ec"),
        ] {
            assert_eq!(SourceKey::of_parts(parts.iter().copied()).0, wanted);
        }
    }

    #[test]
    fn a_long_name_is_shortened_to_128_and_stays_its_own() {
        let long = |end: &str| SourceKey::of_parts([format!("{}{end}", "x".repeat(200)).as_str()]);
        let a = ExternalId::of("crmferry_pipz_acme", "deals", &long("1"));
        let b = ExternalId::of("crmferry_pipz_acme", "deals", &long("2"));
        assert_eq!(a.name.len(), NAME_MAX);
        assert_eq!(ExternalId::key_in("deals", &a.name), None);
        assert_ne!(a, b);
        assert!(a.name.starts_with("deals_xxx"));
        let short = ExternalId::of("m", "deals", &SourceKey::of_parts(["1"]));
        assert_eq!(short.to_string(), "m.deals_1");
        assert_eq!(ExternalId::key_in("deals", "deals_1"), Some(SourceKey("1".into())));
        assert_eq!(ExternalId::key_in("deal", "deals_1"), None);
    }
}
