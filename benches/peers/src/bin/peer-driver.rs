//! What the drivers themselves cost: the same records, pace, clock and count as for a client, and no client.

#![forbid(unsafe_code)]

use forebay_peer_driver::{Job, Out, Sender, Tally, drive};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

/// Outcomes are told in lots, as clients tell them.
const LOT: u64 = 64;

struct Way {
    tally: Arc<Tally>,
    untold: u64,
    left: [u64; 2],
}

impl Sender for Way {
    #[inline(never)]
    fn send(&mut self, out: Out<'_>) -> Result<(), String> {
        black_box(out);
        self.untold += 1;
        let [left, measured] = &mut self.left;
        *left -= 1;
        if self.untold == LOT || *left == 0 {
            self.tally.told(self.untold, None);
            self.untold = 0;
        }
        if *left == 0 {
            *left = *measured;
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let job = Job::of_command_line();
    if job.senders != 1 {
        eprintln!("the driver alone: one sender, as outcomes are told by one thread");
        return ExitCode::FAILURE;
    }
    let tally = Arc::new(Tally::default());
    // The warm-up's records first, if there is one.
    let first = if job.warmup > 0 { job.warmup } else { job.records };
    let way = Way { tally: Arc::clone(&tally), untold: 0, left: [first, job.records] };
    drive(&job, "driver only", &tally, vec![way])
}
