//! `forebay produce`: each line of a file or of standard input is a record.

mod lines;
mod placement;

use crate::Failure;
use crate::options::{self, ProducerOptions, pair};
use forebay::config::Config;
use forebay::{Header, Producer, Record};
use indicatif::{ProgressBar, ProgressStyle};
use lines::Lines;
use placement::Placement;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often, in lines, to look whether a record has failed and to move the bar.
const LOOK_EVERY: u64 = 4_096;
const READ_AT_ONCE: usize = 256 * 1_024;

const LONG_HELP: &str = "\
A line ends with a newline, which is not part of the record; the last line counts without one, too. Nothing else is changed: a carriage
return stays, an empty line is an empty record, bytes need not be text.

Memory stays within buffer.memory, the longest line and about a byte for each record on its way, whatever the size of the input.

The first record that fails ends it: nothing more is read, what is on its way is waited for, and the first line that was not
acknowledged is named.

Exit status:
  0  every line was acknowledged
  1  a line was not, or could not be read
  2  the command line or the configuration is wrong; nothing was sent";

#[derive(clap::Args)]
#[command(after_long_help = LONG_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    producer: ProducerOptions,

    /// The topic to send to.
    #[arg(long)]
    topic: String,

    /// What stands between key and value: the key is what comes before the first of it, and every line must have it. `\t` is a tab.
    /// Without this option records have no key.
    #[arg(long, value_name = "D", value_parser = delimiter)]
    key_delimiter: Option<String>,

    /// A header for every record; may be given many times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    header: Vec<(String, String)>,

    /// The file to read; `-` is standard input.
    #[arg(default_value = "-")]
    file: String,
}

fn delimiter(text: &str) -> Result<String, String> {
    match text {
        "" => Err("must not be empty".to_owned()),
        text => Ok(text.replace("\\t", "\t")),
    }
}

/// What sending needs to know of the configuration.
struct Limits {
    longest: usize,
    max_block: Duration,
    ignore_keys: bool,
    stretch: usize,
}

/// Why reading and sending ended before the end of the input.
struct Stopped {
    line: u64,
    why: String,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let builder = args.producer.builder();
    if builder.value("bootstrap.servers").is_none() {
        return Err(Failure::usage("name the broker: --bootstrap-server HOST:PORT"));
    }
    let config = options::build(builder)?;
    let (input, bar) = open(&args.file)?;
    let input = BufReader::with_capacity(READ_AT_ONCE, input);
    let started = Instant::now();
    let lines = Arc::new(Lines::default());
    let patience = config.delivery_timeout() + config.request_timeout();
    let limits = Limits {
        longest: config.max_request_size(),
        max_block: config.max_block(),
        ignore_keys: config.partitioner_ignore_keys(),
        stretch: config.batch_size().max(1),
    };
    let producer = producer(config, &lines)?;
    let stopped = send(args, &producer, input, &lines, &bar, &limits);
    let flushed = producer.flush(patience).map_err(|error| error.to_string());
    let closed = producer.close(Duration::from_secs(5)).map_err(|error| error.to_string());
    bar.finish_and_clear();

    let acknowledged = lines.acknowledged();
    let took = started.elapsed().as_secs_f64();
    eprintln!(
        "{acknowledged} records acknowledged in {took:.3} s, {:.0} per second",
        acknowledged as f64 / took.max(1e-9)
    );
    let source = if args.file == "-" { "standard input" } else { &args.file };
    let stopped = match stopped {
        Ok(()) => None,
        Err(stopped) => Some((stopped.line, stopped.why)),
    };
    let unacknowledged = lines.first_unacknowledged().map(|(line, why)| {
        let no_outcome = || flushed.clone().err().unwrap_or_else(|| "it has no outcome".to_owned());
        (line, why.unwrap_or_else(no_outcome))
    });
    // Of two reasons for one line the first counts: that of a send which was refused.
    match [stopped, unacknowledged].into_iter().flatten().min_by_key(|(line, _)| *line) {
        Some((line, why)) => Err(Failure::Run(format!("line {line} of {source} was not acknowledged: {why}"))),
        None => flushed.and(closed).map_err(Failure::Run),
    }
}

/// The input, and a bar on standard error where that is a terminal.
fn open(file: &str) -> Result<(Box<dyn io::Read>, ProgressBar), Failure> {
    let (input, size): (Box<dyn io::Read>, _) = if file == "-" {
        (Box::new(io::stdin().lock()), None)
    } else {
        let opened = File::open(file).map_err(|error| Failure::Usage(format!("{file} cannot be opened: {error}")))?;
        let size = opened.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        (Box::new(opened), size)
    };
    if !io::stderr().is_terminal() {
        return Ok((input, ProgressBar::hidden()));
    }
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}, {bytes_per_sec}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Ok((input, bar))
}

fn producer(config: Config, lines: &Arc<Lines>) -> Result<Producer, Failure> {
    let lines = Arc::clone(lines);
    Producer::builder_from(config)
        .on_delivery(move |report| {
            let error = report.result.as_ref().err().map(ToString::to_string);
            lines.outcome(report.partition, u64::from(report.count), error);
        })
        .build()
        .map_err(Failure::run)
}

fn send(
    args: &Args,
    producer: &Producer,
    mut input: impl BufRead,
    lines: &Lines,
    bar: &ProgressBar,
    limits: &Limits,
) -> Result<(), Stopped> {
    let stop = |line: u64, why: &dyn std::fmt::Display| Stopped { line, why: why.to_string() };
    let topic = producer.topic(&args.topic).map_err(|error| stop(1, &error))?;
    let mut sender = producer.sender().map_err(|error| stop(1, &error))?;
    let headers: Vec<_> =
        args.header.iter().map(|(key, value)| Header { key, value: Some(value.as_bytes()) }).collect();
    let partitions = producer.partitions_for(topic, limits.max_block).map_err(|error| stop(1, &error))?;
    let partitions = NonZeroU32::new(partitions).unwrap_or(NonZeroU32::MIN);
    let mut placement = Placement::new(partitions, limits.ignore_keys, limits.stretch);
    let longest = limits.longest;
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let read =
            input.by_ref().take(longest as u64 + 1).read_until(b'\n', &mut text).map_err(|error| stop(line, &error))?;
        if read == 0 {
            break;
        }
        if text.last() == Some(&b'\n') {
            text.pop();
        } else if read > longest {
            return Err(stop(line, &format_args!("it is longer than max.request.size={longest}")));
        }
        let mut record = Record::to(topic).headers(&headers);
        record = match &args.key_delimiter {
            None => record.value(&text),
            Some(delimiter) => match split(&text, delimiter.as_bytes()) {
                Some((key, value)) => record.key(key).value(value),
                None => return Err(stop(line, &format_args!("it has no {delimiter:?} between key and value"))),
            },
        };
        let partition = placement.choose(record.key, read);
        lines.sending(partition, line);
        sender.send(record.partition(partition)).map_err(|error| stop(line, &error))?;
        bar.inc(read as u64);
        if line % LOOK_EVERY == 0 && lines.has_failed() {
            break;
        }
    }
    Ok(())
}

fn split<'a>(text: &'a [u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(delimiter.len()).position(|window| window == delimiter)?;
    Some((text.get(..at)?, text.get(at + delimiter.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::{delimiter, split};

    #[test]
    fn the_first_delimiter_ends_the_key() {
        assert_eq!(split(b"k:v:w", b":"), Some((&b"k"[..], &b"v:w"[..])));
        assert_eq!(split(b":", b":"), Some((&b""[..], &b""[..])));
        assert_eq!(split(b"a=>b", b"=>"), Some((&b"a"[..], &b"b"[..])));
        assert_eq!(split(b"none", b":"), None);
        assert_eq!(split(b"", b":"), None);
    }

    #[test]
    fn a_delimiter_is_not_empty_and_may_be_a_tab() {
        assert!(delimiter("").is_err());
        assert_eq!(delimiter("\\t").as_deref(), Ok("\t"));
    }
}
