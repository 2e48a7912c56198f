//! From the bytes of an export file to UTF-8 text. Pure: bytes in, bytes out.
//!
//! The encoding is decided for a whole file, by a first pass over all of its bytes ([`Survey`]): a byte order mark
//! decides; without one the file is UTF-8 if it holds no invalid byte, or no more of them than it holds characters of
//! several bytes (then it is a UTF-8 file with damage, and the damaged lines are rejected); else it is Latin-1
//! (windows-1252). What cannot be decoded leaves here as the byte `FF`, which is never valid UTF-8, so that the line
//! that holds it is rejected and nothing is replaced in silence.

use encoding_rs::DecoderResult;

/// What [`Decoder`] writes for what it cannot decode.
const UNDECODABLE: u8 = 0xFF;

/// How a file's bytes become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, checked line by line.
    Utf8,
    /// UTF-16, little end first.
    Utf16Le,
    /// UTF-16, big end first.
    Utf16Be,
    /// windows-1252, the Latin-1 that exports really use.
    Latin1,
}

/// The outcome of a first pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The encoding.
    pub encoding: Encoding,
    /// Length of the byte order mark.
    pub mark: usize,
}

impl Encoding {
    /// The name people know.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le | Self::Utf16Be => "UTF-16",
            Self::Latin1 => "Latin-1",
        }
    }
}

/// The first pass: sees every byte of a file once.
#[derive(Debug, Default)]
pub struct Survey {
    head: Vec<u8>,
    /// The start of a character whose end has not come yet.
    carry: Vec<u8>,
    valid: u64,
    invalid: u64,
}

impl Survey {
    /// The next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let missing = 3usize.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        if self.carry.is_empty() {
            self.count(bytes);
        } else {
            let mut joined = std::mem::take(&mut self.carry);
            joined.extend_from_slice(bytes);
            self.count(&joined);
        }
    }

    /// True once a byte order mark has decided: the rest need not be seen.
    #[must_use]
    pub fn decided(&self) -> bool {
        marked(&self.head).is_some()
    }

    /// The decision, after the last byte.
    #[must_use]
    pub fn finish(&self) -> Layout {
        if let Some(layout) = marked(&self.head) {
            return layout;
        }
        let invalid = self.invalid + u64::from(!self.carry.is_empty());
        let encoding = if invalid <= self.valid {
            Encoding::Utf8
        } else {
            Encoding::Latin1
        };
        Layout { encoding, mark: 0 }
    }

    fn count(&mut self, mut bytes: &[u8]) {
        loop {
            match std::str::from_utf8(bytes) {
                Ok(text) => {
                    self.valid += wide(text.as_bytes());
                    return;
                }
                Err(error) => {
                    let (good, rest) = bytes.split_at(error.valid_up_to());
                    self.valid += wide(good);
                    let Some(length) = error.error_len() else {
                        self.carry.extend_from_slice(rest);
                        return;
                    };
                    self.invalid += 1;
                    bytes = &rest[length..];
                }
            }
        }
    }
}

/// The byte order mark at the head of a file. That of UTF-16 needs two bytes, that of UTF-8 three.
fn marked(head: &[u8]) -> Option<Layout> {
    let layout = |encoding, mark| Some(Layout { encoding, mark });
    match head {
        [0xEF, 0xBB, 0xBF, ..] => layout(Encoding::Utf8, 3),
        [0xFF, 0xFE, ..] => layout(Encoding::Utf16Le, 2),
        [0xFE, 0xFF, ..] => layout(Encoding::Utf16Be, 2),
        _ => None,
    }
}

/// How many characters of several bytes valid UTF-8 holds.
fn wide(valid: &[u8]) -> u64 {
    if valid.is_ascii() {
        return 0;
    }
    valid.iter().map(|byte| u64::from(*byte >= 0xC0)).sum()
}

/// The second pass: bytes to UTF-8.
#[derive(Debug)]
pub struct Decoder {
    /// What is left of the byte order mark to skip.
    mark: usize,
    decoder: Option<Converter>,
}

/// A conversion that must convert; boxed, for it is large.
struct Converter(Box<encoding_rs::Decoder>);

impl std::fmt::Debug for Converter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.encoding().name())
    }
}

impl Decoder {
    /// A decoder for a file of this layout.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let encoding = match layout.encoding {
            Encoding::Utf8 => None,
            Encoding::Utf16Le => Some(encoding_rs::UTF_16LE),
            Encoding::Utf16Be => Some(encoding_rs::UTF_16BE),
            Encoding::Latin1 => Some(encoding_rs::WINDOWS_1252),
        };
        Self {
            mark: layout.mark,
            decoder: encoding.map(|it| Converter(Box::new(it.new_decoder_without_bom_handling()))),
        }
    }

    /// Appends what `bytes` give to `text`. `last` ends the file.
    pub fn decode(&mut self, bytes: &[u8], last: bool, text: &mut Vec<u8>) {
        let skip = self.mark.min(bytes.len());
        self.mark -= skip;
        let bytes = &bytes[skip..];
        match &mut self.decoder {
            None => text.extend_from_slice(bytes),
            Some(Converter(decoder)) => convert(decoder, bytes, last, text),
        }
    }
}

fn convert(decoder: &mut encoding_rs::Decoder, mut bytes: &[u8], last: bool, text: &mut Vec<u8>) {
    loop {
        // a decoder makes progress when there is room for one character
        let room = decoder
            .max_utf8_buffer_length_without_replacement(bytes.len())
            .unwrap_or(bytes.len())
            .max(16);
        let start = text.len();
        text.resize(start + room, 0);
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(bytes, &mut text[start..], last);
        text.truncate(start + written);
        bytes = &bytes[read..];
        match result {
            DecoderResult::InputEmpty => return,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => text.push(UNDECODABLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(bytes: &[u8], step: usize) -> Layout {
        let mut survey = Survey::default();
        bytes.chunks(step).for_each(|chunk| survey.push(chunk));
        survey.finish()
    }

    fn decode(bytes: &[u8], step: usize) -> Vec<u8> {
        let mut decoder = Decoder::new(survey(bytes, step));
        let mut text = Vec::new();
        bytes
            .chunks(step)
            .for_each(|chunk| decoder.decode(chunk, false, &mut text));
        decoder.decode(&[], true, &mut text);
        text
    }

    fn utf16(text: &str, little: bool) -> Vec<u8> {
        let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
        units
            .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
            .collect()
    }

    #[test]
    fn every_encoding_gives_the_same_text_at_any_chunk_size() {
        let text = "nome;situação\nJoão;ganho 😀 € \u{FEFF}\n";
        let latin = |text: &str| encoding_rs::WINDOWS_1252.encode(text).0.into_owned();
        let marked = [b"\xEF\xBB\xBF".as_slice(), text.as_bytes()].concat();
        for (bytes, wanted, encoding) in [
            (text.as_bytes().to_vec(), text, Encoding::Utf8),
            (marked, text, Encoding::Utf8),
            (utf16(text, true), text, Encoding::Utf16Le),
            (utf16(text, false), text, Encoding::Utf16Be),
            (
                latin("nome;situação\nJoão;5 €\n"),
                "nome;situação\nJoão;5 €\n",
                Encoding::Latin1,
            ),
            (b"plain,ascii\n".to_vec(), "plain,ascii\n", Encoding::Utf8),
        ] {
            for step in [1, 2, 3, 5, 1000] {
                assert_eq!(survey(&bytes, step).encoding, encoding, "{wanted} by {step}");
                assert_eq!(String::from_utf8(decode(&bytes, step)).unwrap(), wanted, "by {step}");
            }
        }
    }

    #[test]
    fn a_latin_1_letter_at_the_end_of_a_large_ascii_file_is_seen() {
        let mut bytes = vec![b'a'; 3 << 20];
        bytes.push(0xE3);
        assert_eq!(survey(&bytes, 8192).encoding, Encoding::Latin1);
    }

    #[test]
    fn a_utf_8_file_with_one_damaged_byte_stays_utf_8_and_the_damage_stays_visible() {
        let bytes = b"Jo\xC3\xA3o\nJos\xC3\xA9\nbad \xE3 byte\n";
        assert_eq!(survey(bytes, 1).encoding, Encoding::Utf8);
        assert_eq!(decode(bytes, 1), bytes);
    }

    #[test]
    fn half_a_unit_of_utf_16_is_marked_as_undecodable() {
        let mut bytes = utf16("ab", true);
        bytes.push(0x00);
        assert_eq!(decode(&bytes, 2), b"ab\xFF");
        // a lone surrogate
        assert_eq!(decode(b"\xFF\xFEa\x00\x00\xD8b\x00", 1), b"a\xFFb");
    }
}
