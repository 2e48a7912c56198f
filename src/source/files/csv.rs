//! CSV: decoded bytes in, items out. Pure; chunk boundaries never change the result.
//!
//! The grammar of a record is that of `csv-core`; on top of it nothing is guessed. A record is taken only if it has as
//! many fields as the header and its quotes stand as the format wants them: a quote that is never closed, or text after
//! a closing quote, is a broken record and no reason to lose quotes or to swallow lines. A broken record on one line is
//! rejected; of one that spans several lines the first is rejected and reading resumes at the next.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::window::{CELL_MAX, RECORD_MAX, STEP, Window, line_ends};
use super::{Step, broken};
use crate::model::{Record, Value};
use crate::source::Item;

/// How much of a file the delimiter is told from.
const SAMPLE: usize = 64 << 10;
/// Most fields of a header.
const FIELDS_MAX: usize = 10_000;
/// Room for fields beyond those of the header, so that a message can count them.
const SPARE: usize = 64;
/// What separates fields; the first of equals wins.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A CSV file being read.
#[derive(Debug)]
pub struct Csv {
    place: String,
    window: Window,
    grammar: Option<Grammar>,
    header: Option<Header>,
}

#[derive(Debug)]
struct Header {
    /// As they stand in the file.
    names: Vec<String>,
    /// Names in the order of a record's map, each with its place in the file.
    sorted: Vec<(String, usize)>,
}

/// The reader of `csv-core` with the record it is in.
#[derive(Debug)]
struct Grammar {
    delimiter: u8,
    reader: Box<Reader>,
    /// The reader stands between two records.
    clean: bool,
    /// Bytes of the record read so far.
    read: usize,
    text: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    fields: usize,
}

/// What came of reading on.
enum Read {
    More,
    /// The record is there, in this many bytes without its line end.
    Record(usize),
    /// The record can be none.
    Broken(String),
}

/// What a record that could be read is worth.
enum Verdict {
    /// Nothing but blanks.
    Blank,
    /// A record.
    Record(Record),
    /// The record is rejected; the matter is this many lines below its first.
    Rejected(u64, String),
    /// Its first line is rejected, reading resumes at the next.
    Torn(String),
}

const MISQUOTED: &str = "a quote is not closed, or text follows a closing quote";

impl Csv {
    /// A file, called `place` in messages.
    #[must_use]
    pub fn new(place: String) -> Self {
        Self {
            place,
            window: Window::default(),
            grammar: None,
            header: None,
        }
    }

    /// Where the next bytes go.
    pub fn window(&mut self) -> &mut Window {
        &mut self.window
    }

    /// The fields, once the header has been read.
    #[must_use]
    pub fn fields(&self) -> Option<&[String]> {
        self.header.as_ref().map(|header| header.names.as_slice())
    }

    /// The next item.
    ///
    /// # Errors
    /// With a sentence, when there is no header that can be used.
    pub fn step(&mut self) -> Result<Step, String> {
        let window = &mut self.window;
        if self.grammar.is_none() {
            let rest = window.rest();
            if rest.len() < SAMPLE && !window.ended() {
                return Ok(Step::More);
            }
            self.grammar = Some(Grammar::new(sniff(
                &rest[..rest.len().min(SAMPLE)],
                rest.len() < SAMPLE,
            )));
        }
        let Some(grammar) = &mut self.grammar else {
            return Ok(Step::More);
        };
        loop {
            if grammar.read == 0 && !window.seek() {
                return match (window.ended(), &self.header) {
                    (false, _) => Ok(Step::More),
                    (true, Some(_)) => Ok(Step::End),
                    (true, None) => Err("the file is empty, a header with the names of the fields is expected".into()),
                };
            }
            let line = window.line();
            let read = grammar.read(window);
            let Some(header) = &self.header else {
                match header_of(grammar, window, read)? {
                    Some(header) => self.header = Some(header),
                    None => return Ok(Step::More),
                }
                continue;
            };
            let verdict = match read {
                Read::More => return Ok(Step::More),
                Read::Broken(why) => {
                    window.give_up_line();
                    Verdict::Torn(why)
                }
                Read::Record(length) => judge(grammar, header, window, length),
            };
            grammar.restart();
            return Ok(Step::Item(match verdict {
                Verdict::Blank => continue,
                Verdict::Record(record) => Item::Record(record),
                Verdict::Rejected(below, why) => broken(&self.place, line + below, &why),
                Verdict::Torn(why) => broken(&self.place, line, &why),
            }));
        }
    }
}

/// Makes the first record the header. `None` while more bytes are needed.
fn header_of(grammar: &mut Grammar, window: &mut Window, read: Read) -> Result<Option<Header>, String> {
    let length = match read {
        Read::More => return Ok(None),
        Read::Broken(why) => return Err(format!("the header cannot be read: {why}")),
        Read::Record(length) => length,
    };
    let raw = &window.rest()[..length];
    if !grammar.is_well_formed(raw) {
        return Err(format!("the header cannot be read: {MISQUOTED}"));
    }
    let header = Header::of(grammar)?;
    let lines = line_ends(raw);
    window.pass(length, lines);
    grammar.restart();
    grammar.ends.resize(header.names.len() + SPARE, 0);
    Ok(Some(header))
}

/// Judges a record of `length` bytes and passes it, or its first line.
fn judge(grammar: &Grammar, header: &Header, window: &mut Window, length: usize) -> Verdict {
    let raw = &window.rest()[..length];
    let (lines, well_formed) = if grammar.is_plain(length) {
        (0, true)
    } else {
        (line_ends(raw), grammar.is_well_formed(raw))
    };
    let verdict = if grammar.fields == header.names.len() {
        if well_formed {
            header.record(grammar, raw)
        } else {
            Verdict::Torn(MISQUOTED.into())
        }
    } else if grammar.fields == 1 && raw.trim_ascii().is_empty() {
        Verdict::Blank
    } else {
        Verdict::Torn(miscounted(grammar.fields, header.names.len(), lines))
    };
    if let Verdict::Torn(_) = verdict {
        window.give_up_line();
    } else {
        window.pass(length, lines);
    }
    verdict
}

fn miscounted(fields: usize, wanted: usize, lines: u64) -> String {
    let one = if fields == 1 { "field" } else { "fields" };
    match lines {
        0 => format!("{fields} {one} where the header has {wanted}"),
        more => format!(
            "{fields} {one} over {} lines where the header has {wanted}: a quote is broken",
            more + 1
        ),
    }
}

impl Header {
    fn of(grammar: &Grammar) -> Result<Self, String> {
        let mut names: Vec<String> = Vec::with_capacity(grammar.fields);
        for number in 0..grammar.fields {
            let cell = grammar.cell(number);
            if cell.contains(&0) {
                return Err("the header holds NUL bytes: if the file is UTF-16 it needs a byte order mark".into());
            }
            let name = std::str::from_utf8(cell)
                .map_err(|_| {
                    format!(
                        "the name of field {} is not valid in the encoding of the file",
                        number + 1
                    )
                })?
                .trim_matches(|letter: char| letter.is_whitespace() || letter == '\u{FEFF}');
            if name.is_empty() {
                return Err(format!(
                    "field {} of the header has no name, every field needs one",
                    number + 1
                ));
            }
            if let Some(first) = names.iter().position(|other| other == name) {
                let number = number + 1;
                // what stands there may be a record, and the message goes where no person's data may
                return Err(format!(
                    "fields {} and {number} of the header have the same name; is the first line a header?",
                    first + 1
                ));
            }
            names.push(name.to_owned());
        }
        let mut sorted: Vec<_> = names.iter().cloned().zip(0..).collect();
        sorted.sort();
        Ok(Self { names, sorted })
    }

    fn record(&self, grammar: &Grammar, raw: &[u8]) -> Verdict {
        if let Some(place) = raw.iter().position(|byte| *byte == 0) {
            return Verdict::Rejected(line_ends(&raw[..place]), "a NUL byte".into());
        }
        let cell = |(name, number): &(String, usize)| {
            let text = std::str::from_utf8(grammar.cell(*number)).map_err(|_| *number)?;
            Ok((name.clone(), Value::String(text.to_owned())))
        };
        match self.sorted.iter().map(cell).collect::<Result<Record, usize>>() {
            Ok(record) => Verdict::Record(record),
            Err(number) => Verdict::Rejected(
                0,
                format!(
                    "the cell of {:?} is not valid in the encoding of the file",
                    self.names[number]
                ),
            ),
        }
    }
}

impl Grammar {
    fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            reader: Box::new(reader(delimiter)),
            clean: true,
            read: 0,
            text: Vec::new(),
            filled: 0,
            ends: vec![0; FIELDS_MAX],
            fields: 0,
        }
    }

    /// Reads on in the record at the window's start.
    fn read(&mut self, window: &Window) -> Read {
        loop {
            let check = (self.read / STEP + 1) * STEP;
            let rest = window.rest();
            let input = &rest[self.read..rest.len().min(check)];
            if input.is_empty() && !window.ended() {
                return Read::More;
            }
            if self.text.len() <= self.filled + input.len() {
                self.text.resize(self.filled + input.len() + 1, 0);
            }
            let (result, read, filled, fields) =
                self.reader
                    .read_record(input, &mut self.text[self.filled..], &mut self.ends[self.fields..]);
            self.read += read;
            self.filled += filled;
            self.fields += fields;
            self.clean = false;
            match result {
                ReadRecordResult::Record => {
                    self.clean = !input.is_empty();
                    let line_end = usize::from(self.clean);
                    return self.excess().map_or(Read::Record(self.read - line_end), Read::Broken);
                }
                ReadRecordResult::OutputEndsFull => {
                    let why = self
                        .excess()
                        .unwrap_or_else(|| format!("more than {} fields", self.ends.len()));
                    return Read::Broken(why);
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::OutputFull => {
                    if let Some(why) = self.excess().filter(|_| self.read == check) {
                        return Read::Broken(why);
                    }
                }
                // only after the last byte outside of a record, and then this is not called
                ReadRecordResult::End => return Read::More,
            }
        }
    }

    /// What of the record is too long.
    fn excess(&self) -> Option<String> {
        if self.read <= CELL_MAX {
            return None;
        }
        let ends = self.ends[..self.fields].iter().copied().chain([self.filled]);
        let mut start = 0;
        for (number, end) in ends.enumerate() {
            if end.saturating_sub(start) > CELL_MAX {
                return Some(format!("cell {} is over 1 MiB", number + 1));
            }
            start = end;
        }
        (self.read > RECORD_MAX).then(|| "the record is over 4 MiB".to_owned())
    }

    /// Ready for the next record.
    fn restart(&mut self) {
        if !self.clean {
            to_start(&mut self.reader);
        }
        self.clean = true;
        self.read = 0;
        self.filled = 0;
        self.fields = 0;
    }

    fn cell(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.text[start..self.ends[number]]
    }

    /// No cell is quoted: nothing but delimiters was left out of the text.
    fn is_plain(&self, length: usize) -> bool {
        length + 1 == self.filled + self.fields
    }

    /// The record's cells, written as the format wants them, give its bytes.
    fn is_well_formed(&self, raw: &[u8]) -> bool {
        let mut rest = Some(raw);
        for number in 0..self.fields {
            rest = rest.and_then(|rest| {
                let rest = if number == 0 {
                    rest
                } else {
                    rest.strip_prefix(&[self.delimiter])?
                };
                after_cell(rest, self.cell(number))
            });
        }
        rest == Some(&[])
    }
}

/// What follows a cell, plain or quoted, at the start of `raw`.
fn after_cell<'a>(raw: &'a [u8], cell: &[u8]) -> Option<&'a [u8]> {
    let Some(mut rest) = raw.strip_prefix(b"\"") else {
        return raw.strip_prefix(cell);
    };
    for (number, part) in cell.split(|byte| *byte == b'"').enumerate() {
        if number > 0 {
            rest = rest.strip_prefix(b"\"\"")?;
        }
        rest = rest.strip_prefix(part)?;
    }
    rest.strip_prefix(b"\"")
}

fn reader(delimiter: u8) -> Reader {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    to_start(&mut reader);
    reader
}

/// Makes a reader expect a record, whatever it was in. (A clone of a fresh one would not do: it reads nothing.)
fn to_start(reader: &mut Reader) {
    reader.reset();
    // a reader that has read nothing yet takes a byte order mark away; the decoder has removed the one that is none
    reader.read_record(b"\n", &mut [0], &mut [0]);
}

/// The delimiter under which the header has several fields and most of the lines after it as many.
fn sniff(sample: &[u8], whole: bool) -> u8 {
    let mut best = (DELIMITERS[0], 0, 1);
    for delimiter in DELIMITERS {
        let counts = counts(sample, delimiter, whole);
        let Some((header, lines)) = counts.split_first() else {
            continue;
        };
        let like = lines.iter().filter(|count| *count == header).count();
        let share = if lines.is_empty() {
            1000
        } else {
            like * 1000 / lines.len()
        };
        if *header > 1 && (share, *header) > (best.1, best.2) {
            best = (delimiter, share, *header);
        }
    }
    best.0
}

/// Number of fields of each record of a sample, the one it cuts off left out.
fn counts(mut sample: &[u8], delimiter: u8, whole: bool) -> Vec<usize> {
    let mut reader = reader(delimiter);
    let mut text = vec![0; sample.len() + 1];
    let mut ends = vec![0; sample.len() + 1];
    let (mut counts, mut fields) = (Vec::new(), 0);
    loop {
        let (result, read, _, more) = reader.read_record(sample, &mut text, &mut ends);
        sample = &sample[read..];
        fields += more;
        match result {
            ReadRecordResult::Record => counts.push(std::mem::take(&mut fields)),
            ReadRecordResult::InputEmpty if whole || counts.is_empty() => {}
            ReadRecordResult::InputEmpty
            | ReadRecordResult::OutputFull
            | ReadRecordResult::OutputEndsFull
            | ReadRecordResult::End => return counts,
        }
    }
}
