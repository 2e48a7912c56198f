//! Content: the bytes of a file, known by what they weigh and by their digests. The bytes themselves stay in the workspace.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::digest::hex;

/// Which bytes they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// SHA-1 in hex: what Odoo keeps as the checksum of an attachment.
    pub sha1: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hex: its name in the workspace. `None`: it was only seen in Odoo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Content {
    /// Of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut measure = Measure::default();
        measure.push(bytes);
        measure.finish()
    }

    /// Of text in base64; `None` where it is none.
    #[must_use]
    pub fn of_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok().map(|bytes| Self::of(&bytes))
    }

    /// As Odoo tells it.
    #[must_use]
    pub const fn in_odoo(sha1: String, size: u64) -> Self {
        Self {
            sha1,
            size,
            sha256: None,
        }
    }

    /// Whether the bytes are the same, as far as Odoo can tell. It keeps no checksum of what is empty.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.size == other.size && (self.size == 0 || self.sha1 == other.sha1)
    }
}

/// What became of content that a record names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fetched {
    /// It is in the workspace.
    Content(Content),
    /// It is not to be had, or may not be.
    Refused {
        /// A closed word: `NotThere`, `NotAllowed`, `TooLarge`, …
        code: String,
        /// Why, with the content named as far as it may be.
        message: String,
    },
}

/// Bytes that go by are weighed and digested.
#[derive(Clone, Debug, Default)]
pub struct Measure {
    sha1: sha1::Sha1,
    sha256: Sha256,
    size: u64,
}

impl Measure {
    /// The next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        sha1::Digest::update(&mut self.sha1, bytes);
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Bytes so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What they were.
    #[must_use]
    pub fn finish(self) -> Content {
        Content {
            sha1: hex(&sha1::Digest::finalize(self.sha1)),
            size: self.size,
            sha256: Some(hex(&self.sha256.finalize())),
        }
    }
}

/// Bytes that come in pieces, as one text in base64.
#[derive(Clone, Debug, Default)]
pub struct Base64 {
    text: String,
    /// Fewer than three bytes, which are no group yet.
    rest: Vec<u8>,
}

impl Base64 {
    /// With room for so many bytes.
    #[must_use]
    pub fn for_bytes(size: u64) -> Self {
        let groups = usize::try_from(size.div_ceil(3)).unwrap_or(0);
        Self {
            text: String::with_capacity(groups.saturating_mul(4)),
            rest: Vec::with_capacity(3),
        }
    }

    /// The next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !self.rest.is_empty() && self.rest.len() < 3 {
            let Some((first, others)) = bytes.split_first() else {
                return;
            };
            self.rest.push(*first);
            bytes = others;
        }
        STANDARD.encode_string(&self.rest, &mut self.text);
        let whole = bytes.len() - bytes.len() % 3;
        STANDARD.encode_string(&bytes[..whole], &mut self.text);
        self.rest.clear();
        self.rest.extend_from_slice(&bytes[whole..]);
    }

    /// The text.
    #[must_use]
    pub fn finish(mut self) -> String {
        STANDARD.encode_string(&self.rest, &mut self.text);
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length_give_the_digests_and_the_base64_of_the_whole() {
        let whole: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for piece in [1, 2, 3, 4, 7, 64, 999, 1000] {
            let (mut measure, mut text) = (Measure::default(), Base64::for_bytes(1000));
            for bytes in whole.chunks(piece) {
                measure.push(bytes);
                text.push(bytes);
            }
            let text = text.finish();
            assert_eq!(text, STANDARD.encode(&whole), "{piece}");
            assert_eq!(Content::of_base64(&text), Some(measure.finish()), "{piece}");
        }
        assert_eq!(Base64::default().finish(), "");
    }

    #[test]
    fn content_is_told_apart_by_size_and_checksum_and_nothing_by_its_size_alone() {
        let hello = Content::of(b"hello");
        assert_eq!(hello.sha1, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
        assert!(hello.is(&Content::in_odoo(hello.sha1.clone(), 5)));
        assert!(!hello.is(&Content::in_odoo(hello.sha1.clone(), 4)));
        assert!(!hello.is(&Content::of(b"hallo")));
        assert!(Content::of(b"").is(&Content::in_odoo(String::new(), 0)));
    }
}
