//! The command line that all drivers have: words of the form `name=value`.

use crate::pace::Pace;
use std::time::Duration;

/// What a driver is to send, and how.
#[derive(Debug, Clone)]
pub struct Job {
    /// `host:port` of brokers, with commas.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// Bytes of each value, 16 or more.
    pub size: usize,
    /// Records to be measured, by all senders together.
    pub records: u64,
    /// Records sent and acknowledged before anything is measured.
    pub warmup: u64,
    /// Records per second, by all senders together; 0 is as fast as it goes.
    pub rate: f64,
    /// With a rate: senders wait on the clock instead of sleeping.
    pub spin: bool,
    /// Sending threads.
    pub senders: u32,
    /// Different keys. 0: no key, and the partitions in turn.
    pub keys: u32,
    /// Values that compress as text does, instead of such as the verifying broker knows.
    pub text: bool,
    /// One record in so many is timed, on average.
    pub sample: u32,
    /// Settings in the client's own words.
    pub settings: Vec<(String, String)>,
}

impl Job {
    /// The job of this process's command line; exits with status 2 where that is wrong.
    pub fn of_command_line() -> Self {
        Self::parse(std::env::args().skip(1)).unwrap_or_else(|why| {
            eprintln!("{why}");
            std::process::exit(2);
        })
    }

    /// Reads `bootstrap= topic= partitions= size= records= warmup= rate= spin= senders= keys= text= sample=` and
    /// `set.NAME=VALUE`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut job = Self {
            bootstrap: String::new(),
            topic: "peers".to_owned(),
            partitions: 1,
            size: 100,
            records: 1_000_000,
            warmup: 0,
            rate: 0.0,
            spin: false,
            senders: 1,
            keys: 0,
            text: false,
            sample: 1_024,
            settings: Vec::new(),
        };
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("not name=value: {word}"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("not a whole number: {word}"));
            let count = || number().and_then(|n| u32::try_from(n).map_err(|_| format!("too large: {word}")));
            match name {
                "bootstrap" => value.clone_into(&mut job.bootstrap),
                "topic" => value.clone_into(&mut job.topic),
                "partitions" => job.partitions = count()?.max(1),
                "size" => job.size = number()? as usize,
                "records" => job.records = number()?,
                "warmup" => job.warmup = number()?,
                "rate" => job.rate = value.parse().map_err(|_| format!("not a number: {word}"))?,
                "spin" => job.spin = number()? != 0,
                "senders" => job.senders = count()?.max(1),
                "keys" => job.keys = count()?,
                "text" => job.text = number()? != 0,
                "sample" => job.sample = count()?.max(1),
                _ => match name.strip_prefix("set.") {
                    Some(setting) => job.settings.push((setting.to_owned(), value.to_owned())),
                    None => return Err(format!("no driver knows {name}: {word}")),
                },
            }
        }
        if job.bootstrap.is_empty() {
            return Err("bootstrap=HOST:PORT is missing".to_owned());
        }
        if job.size < 16 {
            return Err("size is 16 at least: a value carries its sender and its sequence".to_owned());
        }
        Ok(job)
    }

    /// One sender's pace, if there is a rate.
    pub(crate) fn pace(&self) -> Option<Pace> {
        (self.rate > 0.0)
            .then(|| Pace { every: Duration::from_secs_f64(f64::from(self.senders) / self.rate), spins: self.spin })
    }

    /// One sender's part of so many records.
    pub(crate) fn share(&self, records: u64, sender: u32) -> u64 {
        let senders = u64::from(self.senders);
        records / senders + u64::from(u64::from(sender) < records % senders)
    }
}

#[cfg(test)]
mod tests {
    use super::Job;

    fn parse(line: &str) -> Result<Job, String> {
        Job::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn words_are_read() {
        let job =
            parse("bootstrap=a:1,b:2 size=16 records=10 senders=3 rate=1000 spin=1 set.linger.ms=5 set.a=b=c").unwrap();
        assert_eq!((job.bootstrap.as_str(), job.size, job.senders), ("a:1,b:2", 16, 3));
        assert_eq!(job.settings, [("linger.ms".into(), "5".into()), ("a".into(), "b=c".into())]);
        let pace = job.pace().unwrap();
        assert_eq!((pace.every.as_millis(), pace.spins), (3, true));
        assert_eq!([0, 1, 2].map(|sender| job.share(10, sender)), [4, 3, 3]);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in
            ["", "bootstrap=a:1 size=8", "bootstrap=a:1 what=1", "bootstrap=a:1 records", "bootstrap=a:1 size=x"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
