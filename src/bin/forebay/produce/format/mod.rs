//! From bytes to the fields of a record: one file for each input format.

mod framed;
mod json;
mod text;

use clap::ValueEnum;
use std::borrow::Cow;
use std::io::{self, BufRead, Read as _};

pub(super) use text::Separators;

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum InputFormat {
    /// Each line is a record: a value, or headers, key and value with separators between them.
    Lines,
    /// Values, or headers, keys and values, each after its length.
    LengthPrefixed,
    /// Each line is a JSON object with key, value, headers, partition and timestamp.
    Json,
}

impl InputFormat {
    /// What is counted in messages.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::LengthPrefixed => "record",
            Self::Lines | Self::Json => "line",
        }
    }
}

/// A record as it was read. It borrows from the reader where nothing had to be decoded.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fields<'a> {
    pub(super) key: Option<Cow<'a, [u8]>>,
    pub(super) value: Option<Cow<'a, [u8]>>,
    pub(super) headers: Headers<'a>,
    pub(super) partition: Option<u32>,
    pub(super) timestamp: Option<i64>,
}

/// Where a record stood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The number of its line, or of the record in the length-prefixed format. The first is 1.
    pub(super) number: u64,
    /// The bytes it took.
    pub(super) bytes: usize,
}

/// Names and values, in order; a name may come more than once.
pub(super) type Headers<'a> = Vec<(Cow<'a, str>, Option<Cow<'a, [u8]>>)>;

/// What a record consists of, in the formats that do not say so themselves.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) key: bool,
    pub(super) headers: bool,
    pub(super) separators: Separators,
}

/// A JSON text is longer than the bytes it stands for: `\u0000` is one of them, and base64 takes four characters for three.
const JSON_GROWTH: usize = 8;

/// Reads records one by one, in memory that is used again.
pub(super) struct Records<R> {
    input: R,
    format: InputFormat,
    parts: Parts,
    /// The most bytes a record may have.
    longest: usize,
    bytes: Vec<u8>,
    /// Lines, or records of the length-prefixed format, so far.
    number: u64,
}

/// Why there is no next record.
pub(super) type Wrong = Box<dyn std::fmt::Display>;

fn wrong<T>(why: impl std::fmt::Display + 'static) -> Result<T, Wrong> {
    Err(Box::new(why))
}

impl<R: BufRead> Records<R> {
    pub(super) fn new(input: R, format: InputFormat, parts: Parts, longest: usize) -> Self {
        Self { input, format, parts, longest, bytes: Vec::new(), number: 0 }
    }

    /// The number of the record that was read last, or could not be read. The first is 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next record and where it stood; `None` at the end of the input.
    pub(super) fn next(&mut self) -> Result<Option<(Place, Fields<'_>)>, Wrong> {
        let read = match self.format {
            InputFormat::Lines => self.line(self.longest)?,
            InputFormat::Json => loop {
                let read = self.line(self.longest.saturating_mul(JSON_GROWTH))?;
                // A blank line is no record: files end with one, and people part blocks with them.
                if read == 0 || !self.bytes.trim_ascii().is_empty() {
                    break read;
                }
            },
            InputFormat::LengthPrefixed => {
                self.number += 1;
                framed::read(&mut self.input, &mut self.bytes, &self.parts, self.longest)?
            }
        };
        if read == 0 {
            return Ok(None);
        }
        let fields = match self.format {
            InputFormat::Lines => text::parse(&self.bytes, &self.parts)?,
            InputFormat::Json => json::parse(&self.bytes)?,
            InputFormat::LengthPrefixed => framed::parse(&self.bytes, &self.parts)?,
        };
        Ok(Some((Place { number: self.number, bytes: read }, fields)))
    }

    /// Reads a line into `bytes`, without its newline. How long it was with it; 0 at the end of the input.
    fn line(&mut self, longest: usize) -> Result<usize, Wrong> {
        self.bytes.clear();
        self.number += 1;
        let limit = (longest as u64).saturating_add(1);
        let read = self
            .input
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut self.bytes)
            .map_err(|error| cannot_be_read(&error))?;
        if self.bytes.last() == Some(&b'\n') {
            self.bytes.pop();
        } else if read > longest {
            return wrong(too_long(self.longest));
        }
        Ok(read)
    }
}

fn cannot_be_read(error: &io::Error) -> Wrong {
    Box::new(format!("it cannot be read: {error}"))
}

fn too_long(longest: usize) -> String {
    format!("it is longer than max.request.size={longest}")
}
