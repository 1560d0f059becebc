//! The command line.

use crate::records::Look;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub(crate) const HELP: &str = "\
forebay-rivals [OPTION VALUE]…

  --rounds N        rounds, each with one shot of everybody at everything (15)
  --sizes A,B       mean bytes of a record: 16, 100, 1024 (all)
  --capacities A,B  bytes of the queue (262144,4194304)
  --consumers A,B   patient, eager (both)
  --looks A,B       touch, whole (whole)
  --only A,B        contestants whose name contains A or B (all)
  --shot BYTES      bytes of a shot, about (12582912)
  --patience BYTES  bytes between two looks of a patient consumer (a 16th of the capacity)
  --pin A,B         processors of sender and consumer (0,1); --pin none leaves them free
  --rest MS         pause between two shots, for others on the machine (5)
  --seed N          of record lengths and the order of shots (1)
  --out FOLDER      where results.json, results.md and the plots go (target/rivals)
  --smoke           one small round of everything; fails unless each byte arrived
";

/// What to measure.
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) sizes: Vec<usize>,
    pub(crate) capacities: Vec<usize>,
    pub(crate) consumers: Vec<String>,
    pub(crate) looks: Vec<Look>,
    pub(crate) only: Vec<String>,
    pub(crate) bytes_per_shot: usize,
    patience: Option<usize>,
    pub(crate) probe_trips: u64,
    pub(crate) processors: Option<[usize; 2]>,
    pub(crate) rest: Duration,
    pub(crate) seed: u64,
    pub(crate) out: PathBuf,
    pub(crate) smoke: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            rounds: 15,
            sizes: vec![16, 100, 1024],
            capacities: vec![256 << 10, 4 << 20],
            consumers: vec!["patient".into(), "eager".into()],
            looks: vec![Look::Whole],
            only: Vec::new(),
            bytes_per_shot: 12 << 20,
            patience: None,
            probe_trips: 1_000,
            processors: Some([0, 1]),
            rest: Duration::from_millis(5),
            seed: 1,
            out: PathBuf::from("target/rivals"),
            smoke: false,
        }
    }
}

impl Options {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Options::default();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            if name == "--smoke" {
                options.smoke = true;
                options.rounds = 1;
                options.bytes_per_shot = 64 << 10;
                options.probe_trips = 10;
                options.capacities = vec![64 << 10];
                options.looks = vec![Look::Touch, Look::Whole];
                options.rest = Duration::ZERO;
                options.processors = None;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value\n\n{HELP}"))?;
            match name.as_str() {
                "--rounds" => options.rounds = number(&value)?,
                "--sizes" => options.sizes = list(&value, number)?,
                "--capacities" => options.capacities = list(&value, number)?,
                "--consumers" => options.consumers = list(&value, |name| Ok(name.to_owned()))?,
                "--looks" => options.looks = list(&value, look)?,
                "--only" => options.only = list(&value, |name| Ok(name.to_owned()))?,
                "--shot" => options.bytes_per_shot = number(&value)?,
                "--patience" => options.patience = Some(number(&value)?),
                "--pin" => options.processors = pin(&value)?,
                "--rest" => options.rest = Duration::from_millis(number(&value)?),
                "--seed" => options.seed = number(&value)?,
                "--out" => options.out = PathBuf::from(value),
                _ => return Err(format!("not an option: {name}\n\n{HELP}")),
            }
        }
        if options.sizes.iter().any(|size| ![16, 100, 1024].contains(size)) {
            return Err("sizes are 16, 100 and 1024: queues of fixed elements are built for them".into());
        }
        if options.capacities.iter().any(|capacity| *capacity < 64 << 10) {
            return Err(
                "a capacity is 65536 bytes at least: some queues need places for several of the longest records".into(),
            );
        }
        Ok(options)
    }

    /// Bytes between two looks of a patient consumer.
    pub(crate) fn patience(&self, capacity: usize) -> usize {
        self.patience.unwrap_or(capacity / 16)
    }
}

fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}

fn list<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(read).collect()
}

fn look(name: &str) -> Result<Look, String> {
    match name {
        "touch" => Ok(Look::Touch),
        "whole" => Ok(Look::Whole),
        _ => Err(format!("neither touch nor whole: {name}")),
    }
}

fn pin(text: &str) -> Result<Option<[usize; 2]>, String> {
    if text == "none" {
        return Ok(None);
    }
    let two = list(text, number)?;
    two.try_into().map(Some).map_err(|_| format!("two processors, or none: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_asked_for_is_measured() {
        let options = parsed("--rounds 3 --sizes 16,1024 --pin none --looks whole --patience 4096").expect("valid");
        assert_eq!((options.rounds, options.sizes.as_slice(), options.processors), (3, &[16, 1024][..], None));
        assert_eq!((options.looks.as_slice(), options.patience(1 << 20)), (&[Look::Whole][..], 4096));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--sizes 17", "--rounds", "--pin 1", "--looks at", "--capacities 4096", "--speed 3"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
