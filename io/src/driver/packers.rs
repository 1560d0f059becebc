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
    /// By thread: it has a job.
    busy: Vec<bool>,
    /// A thread has panicked; the text of it.
    failure: Option<String>,
    over: bool,
}

impl Desk {
    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job for a thread, when there is one. None at the end.
    fn next(&self, thread: usize) -> Option<PackJob> {
        let mut papers = self.papers();
        loop {
            if papers.over {
                return None;
            }
            if let Some(job) = papers.waiting.pop_front() {
                papers.busy[thread] = true;
                return Some(job);
            }
            papers = self.work.wait(papers).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The threads. They end when it is dropped, which waits for those that have nothing to do: one that is in the middle of a batch, which
/// nobody wants any more then, ends with it. Until then it keeps the slab alive.
pub(super) struct Packers {
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
    /// Empty between calls of `done`; kept for its room.
    back: Vec<PackJob>,
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
        let mut packers = Self::idle(bell);
        for _ in 0..threads {
            let mut compressor = Compressor::new(compression, largest).map_err(io::Error::other)?;
            let bytes = bytes.clone();
            packers.begin(move |job| job.run(&mut compressor, &bytes))?;
        }
        Ok(packers)
    }

    /// Without a thread.
    fn idle(bell: &Bell) -> Self {
        let desk = Desk { papers: Mutex::default(), work: Condvar::new(), bell: bell.clone() };
        Self { desk: Arc::new(desk), threads: Vec::new(), back: Vec::new() }
    }

    /// One thread more, which does this with each of its jobs.
    fn begin(&mut self, pack: impl FnMut(&mut PackJob) + Send + 'static) -> io::Result<()> {
        let (desk, number) = (self.desk.clone(), self.threads.len());
        desk.papers().busy.push(false);
        let thread = thread::Builder::new().name("forebay-pack".to_owned());
        self.threads.push(thread.spawn(move || work(&desk, number, pack))?);
        Ok(())
    }

    pub(super) fn add(&self, job: PackJob) {
        self.desk.papers().waiting.push_back(job);
        self.desk.work.notify_one();
    }

    /// What is done since the last call goes to `take`.
    ///
    /// # Panics
    /// If one of the threads has, with its words: the I/O thread then ends as by a panic of its own.
    pub(super) fn done(&mut self, take: impl FnMut(PackJob)) {
        let failure = {
            let mut papers = self.desk.papers();
            std::mem::swap(&mut papers.done, &mut self.back);
            papers.failure.take()
        };
        self.back.drain(..).for_each(take);
        if let Some(failure) = failure {
            panic!("a compression thread has panicked: {failure}");
        }
    }
}

impl Drop for Packers {
    fn drop(&mut self) {
        let mut papers = self.desk.papers();
        papers.over = true;
        papers.waiting.clear();
        let busy = papers.busy.clone();
        drop(papers);
        self.desk.work.notify_all();
        // How long a batch takes is nothing that a close may wait for beyond its deadline.
        for (thread, _) in self.threads.drain(..).zip(busy).filter(|(_, busy)| !busy) {
            let _ = thread.join();
        }
    }
}

/// A thread's life. A job whose compression panics is back all the same: its memory is not lost.
fn work(desk: &Desk, number: usize, mut pack: impl FnMut(&mut PackJob)) {
    while let Some(mut job) = desk.next(number) {
        let result = catch_unwind(AssertUnwindSafe(|| pack(&mut job)));
        let mut papers = desk.papers();
        papers.done.push(job);
        papers.busy[number] = false;
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
    use std::sync::mpsc::{Receiver, Sender, channel};

    use forebay_engine::EngineConfig;
    use forebay_mock_broker::MockBroker;

    use super::*;
    use crate::compress::Codec;
    use crate::core::{CoreConfig, DeliveryFailure, FailureKind, Flushed, Report, Request};
    use crate::driver::{Security, Sink, SocketOptions, start};
    use crate::topics::TopicTable;
    use crate::wire::record::{Shape, encode_to};

    /// Far beyond what anything here takes.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

    #[test]
    fn a_panic_gives_its_job_back_and_is_told() {
        let (mut poll, bell) = Bell::new().expect("a poll");
        let mut packers = Packers::idle(&bell);
        packers.begin(|_| panic!("on purpose")).expect("a thread");
        packers.add(PackJob::empty());
        poll.poll(&mut mio::Events::with_capacity(1), None).expect("rung");
        let mut back = 0;
        let told = catch_unwind(AssertUnwindSafe(|| packers.done(|_| back += 1))).expect_err("told");
        assert_eq!((back, panic_text(&*told).as_str()), (1, "a compression thread has panicked: on purpose"));
    }

    /// A job that says when it begins and when it ends, and takes until it is told to go on.
    struct Slow {
        begun: Receiver<()>,
        go_on: Sender<()>,
        ended: Receiver<()>,
    }

    fn begin_slow(packers: &mut Packers, mut pack: impl FnMut(&mut PackJob) + Send + 'static) -> Slow {
        let ((begin, begun), (go_on, told), (end, ended)) = (channel(), channel(), channel());
        let slowly = move |job: &mut PackJob| {
            begin.send(()).expect("the test listens");
            told.recv_timeout(PATIENCE).expect("the test goes on");
            pack(job);
            end.send(()).expect("the test listens");
        };
        packers.begin(slowly).expect("a thread");
        Slow { begun, go_on, ended }
    }

    #[test]
    fn the_end_waits_for_idle_threads_and_not_for_busy_ones() {
        let (_poll, bell) = Bell::new().expect("a poll");
        let mut packers = Packers::idle(&bell);
        let slow = begin_slow(&mut packers, |_| {});
        packers.add(PackJob::empty());
        slow.begun.recv_timeout(PATIENCE).expect("begun");
        // Its closure is gone when it has ended.
        let (held, gone) = channel::<()>();
        packers.begin(move |_| held.send(()).expect("the test listens")).expect("a thread");
        drop(packers);
        assert!(gone.try_recv().is_err_and(|e| e == std::sync::mpsc::TryRecvError::Disconnected), "it was waited for");
        slow.go_on.send(()).expect("it waits");
        slow.ended.recv_timeout(PATIENCE).expect("it ends with its job");
    }

    struct Collect {
        reports: Sender<Result<(), DeliveryFailure>>,
        ended: Sender<Option<String>>,
    }

    impl Sink for Collect {
        fn reports(&mut self, reports: &[Report]) {
            for report in reports {
                let result = report.result.clone().map(|_| ());
                self.reports.send(result).expect("the test listens");
            }
        }

        fn flushed(&mut self, _flushed: &[Flushed]) {}

        fn ended(&mut self, failure: Option<&str>) {
            self.ended.send(failure.map(str::to_owned)).expect("the test listens");
        }
    }

    /// The whole I/O thread, with a batch that is still being compressed at the deadline of its close.
    #[test]
    fn a_close_ends_at_its_deadline_whatever_a_compression_thread_is_at() {
        let broker = MockBroker::builder().partitions(1).start().expect("starts");
        let (poll, bell) = Bell::new().expect("a poll");
        let layout = EngineConfig { memory: 1 << 20, segment_size: 4096, due_bytes: 16_384, ahead_bytes: 0 };
        let (engine, io) = forebay_engine::new(layout, Arc::new(bell.clone())).expect("memory");
        let topics = Arc::new(TopicTable::new());
        let topic = topics.intern("orders").expect("legal");
        let bytes = io.run_bytes();
        let compression = Compression { codec: Codec::Snappy, level: 0 };
        let mut packers = Packers::idle(&bell);
        // What it does once it goes on is real: the slab must still be there, when everything else is gone.
        let mut compressor = Compressor::new(compression, 1 << 20).expect("in this build");
        let slow = begin_slow(&mut packers, move |job| job.run(&mut compressor, &bytes));
        let config = CoreConfig {
            bootstrap: vec![broker.bootstrap()],
            compression: Some(compression),
            compression_threads: 1,
            ..CoreConfig::default()
        };
        let parts = Parts {
            config,
            sockets: SocketOptions::default(),
            security: Security::default(),
            poll,
            bell,
            io,
            topics,
            meters: Arc::default(),
            number: 0,
            cpu: None,
        };
        let ((reports, reported), (end, ended)) = (channel(), channel());
        let driver = start(parts, Some(packers), Collect { reports, ended: end }).expect("a thread");
        let mut lane = engine.producer_end().lane(topic.lane_tag(0)).expect("open");
        let value = [7; 1_000];
        let shape = Shape::measure(0, None, Some(value.len()), &[]).expect("small");
        let mut claim = lane.claim(shape.total_len, shape.total_len).expect("room");
        encode_to(&shape, 0, None, Some(&value), &[], &mut |bytes: &[u8]| claim.put(bytes));
        claim.commit().expect("open");
        slow.begun.recv_timeout(PATIENCE).expect("the batch is being compressed");

        driver.request(Request::Close { deadline: driver.time_after(std::time::Duration::ZERO) }).expect("alive");
        assert_eq!(ended.recv_timeout(PATIENCE).expect("a close ends"), None);
        driver.join();
        let failure = reported.try_recv().expect("an outcome").expect_err("closed");
        assert!(failure.kind == FailureKind::Closed && !failure.possibly_appended, "{failure:?}");

        drop((driver, lane, engine));
        slow.go_on.send(()).expect("it waits");
        slow.ended.recv_timeout(PATIENCE).expect("it ends with its batch");
    }
}
