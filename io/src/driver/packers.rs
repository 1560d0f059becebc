//! The threads that compress batches (`io.compression.threads`): jobs out, jobs back, one compressor for each thread.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use forebay_engine::{Ring, RunBytes};

use super::{Bell, Parts};
use crate::compress::{Compression, Compressor};
use crate::core::PackJob;

/// Jobs on their way there and back.
struct Desk {
    papers: Mutex<Papers>,
    /// There is something to do, or nothing ever again.
    work: Condvar,
    bell: Bell,
}

#[derive(Default)]
struct Papers {
    waiting: VecDeque<PackJob>,
    done: Vec<PackJob>,
    /// A thread has panicked; the text of it.
    failure: Option<String>,
    over: bool,
}

impl Desk {
    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, when there is one. None at the end.
    fn next(&self) -> Option<PackJob> {
        let mut papers = self.papers();
        loop {
            if papers.over {
                return None;
            }
            if let Some(job) = papers.waiting.pop_front() {
                return Some(job);
            }
            papers = self.work.wait(papers).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The threads. They end when it is dropped, which waits for the jobs that they have begun.
pub(super) struct Packers {
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
}

impl Packers {
    /// The threads that a driver is to have. Without compression the core has nothing for them.
    ///
    /// # Errors
    /// As [`Packers::new`].
    pub(super) fn of(parts: &Parts) -> io::Result<Option<Self>> {
        let config = &parts.config;
        let Some(compression) = config.compression.filter(|_| config.compression_threads > 0) else { return Ok(None) };
        let bytes = parts.io.run_bytes();
        Self::new(config.compression_threads, compression, config.max_request_size, &bytes, &parts.bell).map(Some)
    }

    /// # Errors
    /// The system gives no thread, or the codec is not in this build.
    fn new(
        threads: usize,
        compression: Compression,
        largest: usize,
        bytes: &RunBytes,
        bell: &Bell,
    ) -> io::Result<Self> {
        let desk = Desk { papers: Mutex::default(), work: Condvar::new(), bell: bell.clone() };
        let mut packers = Self { desk: Arc::new(desk), threads: Vec::new() };
        for _ in 0..threads {
            let mut compressor = Compressor::new(compression, largest).map_err(io::Error::other)?;
            let (desk, bytes) = (packers.desk.clone(), bytes.clone());
            let thread = thread::Builder::new().name("forebay-pack".to_owned());
            packers.threads.push(thread.spawn(move || work(&desk, |job| job.run(&mut compressor, &bytes)))?);
        }
        Ok(packers)
    }

    pub(super) fn add(&self, job: PackJob) {
        self.desk.papers().waiting.push_back(job);
        self.desk.work.notify_one();
    }

    /// What is done since the last call goes to `take`.
    ///
    /// # Panics
    /// If one of the threads has, with its words: the I/O thread then ends as by a panic of its own.
    pub(super) fn done(&self, mut take: impl FnMut(PackJob)) {
        let (done, failure) = {
            let mut papers = self.desk.papers();
            (std::mem::take(&mut papers.done), papers.failure.take())
        };
        done.into_iter().for_each(&mut take);
        if let Some(failure) = failure {
            panic!("a compression thread has panicked: {failure}");
        }
    }
}

impl Drop for Packers {
    fn drop(&mut self) {
        self.desk.papers().over = true;
        self.desk.work.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A thread's life. A job whose compression panics is back all the same: its memory is not lost.
fn work(desk: &Desk, mut pack: impl FnMut(&mut PackJob)) {
    while let Some(mut job) = desk.next() {
        let result = catch_unwind(AssertUnwindSafe(|| pack(&mut job)));
        let mut papers = desk.papers();
        papers.done.push(job);
        let failed = result.is_err();
        if let Err(panic) = result {
            papers.failure = Some(panic_text(&*panic));
        }
        drop(papers);
        desk.bell.ring();
        if failed {
            return;
        }
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_gives_its_job_back_and_is_told() {
        let (mut poll, bell) = Bell::new().expect("a poll");
        let desk = Arc::new(Desk { papers: Mutex::default(), work: Condvar::new(), bell });
        let packers = Packers { desk: desk.clone(), threads: Vec::new() };
        packers.add(PackJob::empty());
        let thread = thread::spawn(move || work(&desk, |_| panic!("on purpose")));
        poll.poll(&mut mio::Events::with_capacity(1), None).expect("rung");
        thread.join().expect("the panic was caught");
        let mut back = 0;
        let told = catch_unwind(AssertUnwindSafe(|| packers.done(|_| back += 1))).expect_err("told");
        assert_eq!((back, panic_text(&*told).as_str()), (1, "a compression thread has panicked: on purpose"));
    }
}
