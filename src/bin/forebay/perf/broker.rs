//! The embedded broker: this program again, as a child process, so that the CPU time measured here is the client's alone.
//!
//! It speaks lines: first it writes `listening HOST:PORT`; for each line `report` that it reads it writes a verification report;
//! at the end of its input it stops. So it cannot outlive this process, however that ends.

use crate::Failure;
use forebay_mock_broker::{VerifyReport, payload};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

/// How long records that were acknowledged, or with `acks=0` only written, may take to show up in the report.
const SETTLE: Duration = Duration::from_secs(10);

/// A running child. Dropping it ends it.
pub(super) struct Broker {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    address: String,
}

impl Broker {
    /// Starts a broker whose topics have so many partitions, and which verifies what so many senders send it.
    pub(super) fn start(partitions: u32, senders: u32, faults: &[String]) -> Result<Self, Failure> {
        let program = env::current_exe().map_err(Failure::run)?;
        let mut child = Command::new(program)
            .args([
                "mock-broker",
                "--embedded",
                "--partitions",
                &partitions.to_string(),
                "--senders",
                &senders.to_string(),
            ])
            .args(faults)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::Run(format!("the embedded broker cannot be started: {error}")))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Run("the embedded broker has no standard input and output".to_owned()));
        };
        let mut broker = Self { child, to: Some(to), from: BufReader::new(from), address: String::new() };
        let line = broker.line()?;
        match line.strip_prefix("listening ") {
            Some(address) => address.clone_into(&mut broker.address),
            None => return Err(Failure::Run(format!("the embedded broker did not start: {line:?}"))),
        }
        Ok(broker)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What it has received so far.
    pub(super) fn report(&mut self) -> Result<VerifyReport, Failure> {
        if let Some(to) = &mut self.to {
            to.write_all(b"report\n").and_then(|()| to.flush()).map_err(gone)?;
        }
        self.line()?.parse().map_err(Failure::run)
    }

    /// Whether it received exactly what was sent: count, order and content. Waits a little for what is still on its way.
    pub(super) fn verify(&mut self, sent: &[Vec<u64>], record_size: usize) -> Result<(), Failure> {
        let expected: u64 = sent.iter().flatten().sum();
        let deadline = Instant::now() + SETTLE;
        let report = loop {
            let report = self.report()?;
            if report.records >= expected || Instant::now() >= deadline {
                break report;
            }
            thread::sleep(Duration::from_millis(20));
        };
        let bytes = expected * record_size as u64;
        let checksum = small_values_checksum(sent, record_size);
        if report.is_clean() && (report.records, report.bytes, report.checksum) == (expected, bytes, checksum) {
            return Ok(());
        }
        Err(Failure::Run(format!(
            "the broker did not receive what was sent: sent records={expected} bytes={bytes} checksum={checksum}, received {report}"
        )))
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.from.read_line(&mut line).map_err(gone)? {
            0 => Err(Failure::Run("the embedded broker has gone".to_owned())),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // The end of its input is its order to stop; whether it did well was asked for before.
        self.to = None;
        let _ = self.child.wait();
    }
}

fn gone(error: impl std::fmt::Display) -> Failure {
    Failure::Run(format!("the embedded broker has gone: {error}"))
}

/// Values too small to name their sender are compared by the sum of their checksums. `sent` counts per sender and partition; each of
/// these counted from 0, and values repeat with the payload's fillings.
fn small_values_checksum(sent: &[Vec<u64>], record_size: usize) -> u64 {
    if record_size >= payload::HEAD {
        return 0;
    }
    let mut value = vec![0; record_size];
    let mut sum = 0_u64;
    for filling in 0..payload::FILLINGS {
        payload::fill(&mut value, 0, filling);
        let checksum = payload::checksum(&value);
        for count in sent.iter().flatten() {
            let times = count / payload::FILLINGS + u64::from(count % payload::FILLINGS > filling);
            sum = sum.wrapping_add(checksum.wrapping_mul(times));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::small_values_checksum;
    use forebay_mock_broker::payload;

    #[test]
    fn the_checksum_of_small_values_is_the_sum_over_all_of_them() {
        for count in [0_u64, 1, 63, 64, 65, 200] {
            let mut sum = 0_u64;
            let mut value = [0; 5];
            for sequence in (0..count).chain(0..=count) {
                payload::fill(&mut value, 0, sequence);
                sum = sum.wrapping_add(payload::checksum(&value));
            }
            assert_eq!(small_values_checksum(&[vec![count], vec![count + 1]], 5), sum);
        }
        assert_eq!(small_values_checksum(&[vec![10]], 100), 0, "larger values prove themselves");
    }
}
