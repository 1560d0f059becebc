//! The command line of `forebay produce`.

use super::format::{InputFormat, Parts, Separators};
use crate::Failure;
use crate::options::{ProducerOptions, pair};

const LONG_HELP: &str = "\
Lines: a line ends with a newline, which is not part of the record; the last line counts without one, too. Nothing else is changed: a
carriage return stays, an empty line is an empty record, bytes need not be text. With --parse-headers and --parse-key a line is
  NAME:VALUE,NAME:VALUE<TAB>KEY<TAB>VALUE
as Kafka's console producer reads it; the separators can be chosen, and a line without them is an error.

Length-prefixed: every field is a length of four bytes (big-endian, signed) and so many bytes; the length -1 is null. A record is its
value. With --parse-key the key comes before it. With --parse-headers a record begins with the number of its headers (four bytes,
big-endian) and the name and the value of each.

JSON: each line is an object; blank lines are skipped. `value` must be there, the rest may be left out:
  {\"key\": \"k\", \"value\": \"v\", \"headers\": {\"name\": \"v\"}, \"partition\": 0, \"timestamp\": 1700000000000}
A key, a value and a header's value is a string, null, or {\"base64\": \"…\"} for bytes that are no text. Headers may also be an array of
[\"name\", value]. The timestamp counts milliseconds since 1970 (UTC). A field of another name is an error.

Memory stays within buffer.memory, the longest record and about a byte for each record on its way, whatever the size of the input.

The first record that fails ends it: nothing more is read, what is on its way is waited for, and the first line (or record) that was
not acknowledged is named. The first ctrl-C or SIGTERM does the same; the second one ends it at once.

Exit status:
  0    every record was acknowledged
  1    a record was not, or could not be read
  2    the command line or the configuration is wrong, or the file cannot be opened; nothing was sent
  3    no broker could be reached, or none lets this client in or knows the topic; nothing was sent
  130  interrupted (ctrl-C, SIGINT); 143 for SIGTERM";

#[derive(clap::Args)]
#[command(after_long_help = LONG_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) producer: ProducerOptions,

    /// The topic to send to.
    #[arg(long)]
    pub(super) topic: String,

    /// How records stand in the input.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = InputFormat::Lines)]
    pub(super) input_format: InputFormat,

    /// Every record has a key, before its value.
    #[arg(long)]
    parse_key: bool,

    /// What ends the key of a line: the first of it. `\t` is a tab, which is the default. Implies --parse-key.
    #[arg(long, value_name = "TEXT", visible_alias = "key-delimiter", allow_hyphen_values = true, value_parser = separator)]
    key_separator: Option<String>,

    /// Every record has headers, before its key and its value.
    #[arg(long)]
    parse_headers: bool,

    /// What ends the headers of a line. Default: a tab.
    #[arg(long, value_name = "TEXT", requires = "parse_headers", allow_hyphen_values = true, value_parser = separator)]
    headers_delimiter: Option<String>,

    /// What stands between two headers of a line. Default: a comma.
    #[arg(long, value_name = "TEXT", requires = "parse_headers", allow_hyphen_values = true, value_parser = separator)]
    headers_separator: Option<String>,

    /// What stands between the name and the value of a line's header. Default: a colon.
    #[arg(long, value_name = "TEXT", requires = "parse_headers", allow_hyphen_values = true, value_parser = separator)]
    headers_key_separator: Option<String>,

    /// A key, a value or a header's value of a line that is equal to this is null.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = separator)]
    null_marker: Option<String>,

    /// A header for every record, before its own; may be given many times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) header: Vec<(String, String)>,

    /// The file to read; `-` is standard input.
    #[arg(default_value = "-")]
    pub(super) file: String,
}

impl Args {
    /// What a record consists of, if the options go together.
    pub(super) fn parts(&self) -> Result<Parts, Failure> {
        let for_lines = [
            ("--key-separator", &self.key_separator),
            ("--headers-delimiter", &self.headers_delimiter),
            ("--headers-separator", &self.headers_separator),
            ("--headers-key-separator", &self.headers_key_separator),
            ("--null-marker", &self.null_marker),
        ];
        let misplaced = for_lines.iter().find(|(_, given)| given.is_some() && self.input_format != InputFormat::Lines);
        if let Some((option, _)) = misplaced {
            return Err(Failure::usage(format!("{option} is for --input-format lines")));
        }
        if self.input_format == InputFormat::Json && (self.parse_key || self.parse_headers) {
            return Err(Failure::usage(
                "--parse-key and --parse-headers are not for --input-format json: its fields have names",
            ));
        }
        let default = Separators::default();
        let or = |given: &Option<String>, default: String| given.clone().unwrap_or(default);
        let separators = Separators {
            key: or(&self.key_separator, default.key),
            headers: or(&self.headers_delimiter, default.headers),
            header: or(&self.headers_separator, default.header),
            header_key: or(&self.headers_key_separator, default.header_key),
            null: self.null_marker.clone(),
        };
        let parts =
            Parts { key: self.parse_key || self.key_separator.is_some(), headers: self.parse_headers, separators };
        parts.separators.check(parts.key, parts.headers).map_err(Failure::Usage)?;
        Ok(parts)
    }

    /// The input, in a message.
    pub(super) fn source(&self) -> &str {
        if self.file == "-" { "standard input" } else { &self.file }
    }
}

fn separator(text: &str) -> Result<String, String> {
    match text {
        "" => Err("must not be empty".to_owned()),
        text => Ok(text.replace("\\t", "\t")),
    }
}

#[cfg(test)]
mod tests {
    use super::separator;

    #[test]
    fn a_separator_is_not_empty_and_may_be_a_tab() {
        assert!(separator("").is_err());
        assert_eq!(separator("\\t").as_deref(), Ok("\t"));
    }
}
