//! The part of a file that is being read: decoded bytes, where the next record starts, and which line that is. Pure.

/// Longest cell, or text in JSON, in bytes.
pub const CELL_MAX: usize = 1 << 20;
/// Longest record, in bytes of the file: what a reader holds at most, beside one chunk.
pub const RECORD_MAX: usize = 4 << 20;
/// Bounds are checked each time a record has grown by this much, counted from its start: where the chunks of the file
/// end then makes no difference.
pub const STEP: usize = 64 << 10;

/// Decoded bytes from the start of the current record on. Lines end with LF, CRLF or CR.
#[derive(Debug)]
pub struct Window {
    bytes: Vec<u8>,
    start: usize,
    line: u64,
    ended: bool,
    /// The byte before `start` was a CR: a LF now belongs to it.
    after_cr: bool,
    /// What comes up to the next line end belongs to a rejected line.
    skipping: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            line: 1,
            ended: false,
            after_cr: false,
            skipping: false,
        }
    }
}

impl Window {
    /// The buffer to append the next bytes to.
    pub fn grow(&mut self) -> &mut Vec<u8> {
        if self.start > STEP || self.start == self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }

    /// No bytes will follow.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// True when no bytes will follow those in [`Self::rest`].
    #[must_use]
    pub const fn ended(&self) -> bool {
        self.ended
    }

    /// Number of the line that the current record starts on, from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// What is there of the current record and those after it.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Goes to the next line that is not empty. False when more bytes are needed first, or none are left.
    pub fn seek(&mut self) -> bool {
        if self.skipping {
            let Some(end) = line_end(self.rest()) else {
                self.start = self.bytes.len();
                return false;
            };
            self.skipping = false;
            self.start += end;
            self.after_cr = false;
        }
        while let Some(byte) = self.bytes.get(self.start) {
            match byte {
                b'\n' if self.after_cr => self.after_cr = false,
                b'\n' | b'\r' => {
                    self.after_cr = *byte == b'\r';
                    self.line += 1;
                }
                _ => {
                    self.after_cr = false;
                    return true;
                }
            }
            self.start += 1;
        }
        false
    }

    /// Passes `length` bytes that hold `lines` line ends. The line end after them stays, for [`Self::seek`].
    pub fn pass(&mut self, length: usize, lines: u64) {
        self.start += length;
        self.line += lines;
    }

    /// Gives up the line that the current record starts on: [`Self::seek`] goes on with the next.
    pub fn give_up_line(&mut self) {
        self.skipping = true;
    }
}

/// Where the first line ends.
#[must_use]
pub fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'))
}

/// How many line ends there are.
#[must_use]
pub fn line_ends(bytes: &[u8]) -> u64 {
    let mut count = 0;
    let mut after_cr = false;
    for byte in bytes {
        count += u64::from(*byte == b'\r' || (*byte == b'\n' && !after_cr));
        after_cr = *byte == b'\r';
    }
    count
}
