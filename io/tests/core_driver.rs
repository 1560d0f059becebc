//! The I/O thread against a real socket: the mock broker on loopback.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use forebay_engine::{ClaimError, Engine, EngineConfig, Lane, ProducerEnd};
use forebay_io::core::{CoreConfig, Flushed, Report, Request};
use forebay_io::driver::{Bell, DriverHandle, Ended, Parts, Security, Sink, SocketOptions, spawn};
use forebay_io::time::Time;
use forebay_io::topics::{TopicId, TopicTable};
use forebay_io::wire::record::{HEAD_MAX, Shape, encode_to};
use forebay_mock_broker::{FaultSpec, MockBroker, When};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Outcomes {
    delivered: u64,
    failed: u64,
}

struct Collect {
    outcomes: Arc<Mutex<Outcomes>>,
    flushed: Sender<Flushed>,
    ended: Sender<Option<String>>,
    panics: bool,
}

impl Sink for Collect {
    fn reports(&mut self, reports: &[Report]) {
        assert!(!self.panics, "as the test wants");
        let mut outcomes = self.outcomes.lock().expect("no panic");
        for report in reports {
            match report.result {
                Ok(_) => outcomes.delivered += u64::from(report.count),
                Err(_) => outcomes.failed += u64::from(report.count),
            }
        }
    }

    fn flushed(&mut self, flushed: &[Flushed]) {
        for flush in flushed {
            self.flushed.send(*flush).expect("the test listens");
        }
    }

    fn ended(&mut self, failure: Option<&str>) {
        self.ended.send(failure.map(str::to_owned)).expect("the test listens");
    }
}

struct Rig {
    engine: Engine,
    topics: Arc<TopicTable>,
    topic: TopicId,
    driver: DriverHandle,
    outcomes: Arc<Mutex<Outcomes>>,
    flushed: Receiver<Flushed>,
    ended: Receiver<Option<String>>,
}

fn rig(bootstrap: &str, panics: bool, config: CoreConfig) -> Rig {
    let (poll, bell) = Bell::new().expect("a poll");
    let layout = EngineConfig {
        memory: 1 << 20,
        segment_size: 4096,
        due_bytes: config.batch_size as u32,
        ahead_bytes: 64 * 1024,
    };
    let (engine, io) = forebay_engine::new(layout, Arc::new(bell.clone())).expect("memory");
    let topics = Arc::new(TopicTable::new());
    let topic = topics.intern("orders").expect("legal");
    let config = CoreConfig { bootstrap: bootstrap.split(',').map(str::to_owned).collect(), ..config };
    let (flush_sender, flushed) = channel();
    let (end_sender, ended) = channel();
    let outcomes = Arc::<Mutex<Outcomes>>::default();
    let sink = Collect { outcomes: outcomes.clone(), flushed: flush_sender, ended: end_sender, panics };
    let (sockets, security) = (SocketOptions::default(), Security::default());
    let driver = spawn(
        Parts {
            config,
            sockets,
            security,
            poll,
            bell,
            io,
            topics: topics.clone(),
            meters: Arc::default(),
            number: 0,
            cpu: None,
        },
        sink,
    )
    .expect("a thread");
    Rig { engine, topics, topic, driver, outcomes, flushed, ended }
}

impl Rig {
    /// As a sender does: wait for the topic's partitions.
    fn partitions(&self) -> u32 {
        let entry = self.topics.entry(self.topic).expect("interned");
        let mut seen = self.topics.generation();
        self.driver.request(Request::WantTopic(self.topic)).expect("alive");
        while entry.partitions() == 0 {
            let now = self.topics.wait_for_change(seen, PATIENCE);
            assert_ne!(now, seen, "no metadata");
            seen = now;
        }
        entry.partitions()
    }

    fn flush(&self, token: u64) -> Flushed {
        self.driver.request(Request::Flush { token }).expect("alive");
        let flushed = self.flushed.recv_timeout(PATIENCE).expect("a flush ends");
        assert_eq!(flushed.token, token);
        flushed
    }

    fn close(&self) -> Option<String> {
        self.driver.request(Request::Close { deadline: self.driver.time_after(PATIENCE) }).expect("alive");
        let failure = self.ended.recv_timeout(PATIENCE).expect("a close ends");
        self.driver.join();
        failure
    }
}

/// Sends like a blocking sender: waits for memory when there is none.
fn send(end: &mut ProducerEnd, lane: &mut Lane, value: &[u8]) -> Result<(), ClaimError> {
    let shape = Shape::measure(0, None, Some(value.len()), &[]).expect("not too large");
    let mut claim = lane.claim_or(shape.total_len, HEAD_MAX.min(shape.total_len), |refused| {
        let ClaimError::Full { segments } = refused else { return Err(refused) };
        end.begin_wait(segments)?;
        loop {
            if let Some(grant) = end.poll_wait()? {
                return Ok(grant);
            }
            end.park(None);
        }
    })?;
    encode_to(&shape, 0, None, Some(value), &[], &mut |bytes: &[u8]| claim.put(bytes));
    claim.commit()
}

fn send_from_threads(rig: &Rig, threads: u64, each: u64) {
    let partitions = rig.partitions();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (mut end, topic) = (rig.engine.producer_end(), rig.topic);
            scope.spawn(move || {
                let lane = |p| end.lane(topic.lane_tag(p)).expect("open");
                let mut lanes: Vec<_> = (0..partitions).map(lane).collect();
                for n in 0..each {
                    let mut value = [7_u8; 100];
                    value[..8].copy_from_slice(&thread.to_be_bytes());
                    value[8..16].copy_from_slice(&n.to_be_bytes());
                    let lane = &mut lanes[(n % u64::from(partitions)) as usize];
                    send(&mut end, lane, &value).expect("open");
                }
            });
        }
    });
}

/// Each sender's numbers, partition by partition, exactly once and in order.
fn verify(broker: &MockBroker, threads: u64, each: u64, partitions: u32, name: &str) {
    let mut total = 0;
    for partition in 0..partitions {
        let mut next = vec![u64::from(partition); threads as usize];
        for record in broker.records("orders", partition as i32) {
            let value = record.value.expect("a value");
            let number = |at: usize| u64::from_be_bytes(value[at..at + 8].try_into().expect("8 bytes"));
            let thread = number(0) as usize;
            assert_eq!(number(8), next[thread], "{name}: partition {partition}, thread {thread}");
            next[thread] += u64::from(partitions);
            total += 1;
        }
    }
    assert_eq!(total, threads * each);
}

#[test]
fn records_of_several_threads_arrive_once_and_in_order() {
    let broker = MockBroker::builder().nodes(2).partitions(3).start().expect("starts");
    let rig = rig(&broker.bootstrap(), false, CoreConfig::default());
    send_from_threads(&rig, 3, 30_000);
    assert_eq!(rig.flush(1).failed, 0);
    assert_eq!(rig.outcomes.lock().expect("no panic").delivered, 90_000);
    verify(&broker, 3, 30_000, 3, "no fault");
    assert_eq!(rig.close(), None);
    assert_eq!(rig.driver.request(Request::Flush { token: 2 }), Err(Ended));
    assert_eq!(rig.engine.available_bytes(), rig.engine.total_bytes(), "all memory is back");
    assert!(rig.topics.is_closed());
}

#[test]
fn faults_of_every_kind_lose_and_double_nothing() {
    for (name, fault) in [
        ("dropped", FaultSpec::DropConnection { when: When::Every(7), after_append: false }),
        ("answer lost", FaultSpec::DropConnection { when: When::Every(5), after_append: true }),
        ("refused", FaultSpec::ProduceError { code: 19, when: When::Every(4), after_append: false }),
        ("in doubt", FaultSpec::ProduceError { code: 7, when: When::Every(4), after_append: true }),
        ("moved", FaultSpec::LeaderMove(When::Every(6))),
        ("garbage", FaultSpec::Garbage(When::Every(9))),
        ("truncated", FaultSpec::Truncate(When::Every(9))),
        ("trickle", FaultSpec::ShortWrites(5)),
    ] {
        let broker = MockBroker::builder().nodes(2).partitions(2).start().expect("starts");
        let quick = Duration::from_millis(5);
        let config = CoreConfig { reconnect_backoff: quick, retry_backoff: quick, ..CoreConfig::default() };
        let rig = rig(&broker.bootstrap(), false, config);
        rig.partitions();
        broker.faults().set(fault);
        send_from_threads(&rig, 2, 10_000);
        assert_eq!(rig.flush(1).failed, 0, "{name}");
        verify(&broker, 2, 10_000, 2, name);
        broker.faults().clear();
        assert_eq!(rig.close(), None, "{name}");
    }
}

#[test]
fn a_panic_of_the_sink_reaches_everyone() {
    let broker = MockBroker::builder().partitions(1).start().expect("starts");
    let rig = rig(&broker.bootstrap(), true, CoreConfig::default());
    rig.partitions();
    let mut end = rig.engine.producer_end();
    let mut lane = end.lane(rig.topic.lane_tag(0)).expect("open");
    send(&mut end, &mut lane, b"boom").expect("open");
    let failure = rig.ended.recv_timeout(PATIENCE).expect("told");
    assert_eq!(failure.as_deref(), Some("as the test wants"));
    assert!(rig.driver.is_poisoned() && rig.driver.has_ended() && rig.topics.is_closed());
    assert_eq!(rig.driver.request(Request::Close { deadline: Time::MAX }), Err(Ended));
    assert!(matches!(send(&mut end, &mut lane, b"more"), Err(ClaimError::Closed)));
    rig.driver.join();
}

#[test]
fn a_name_is_resolved_and_an_unknown_one_ends_with_the_close() {
    let broker = MockBroker::builder().partitions(1).start().expect("starts");
    let named = broker.bootstrap().replace("127.0.0.1", "localhost");
    let first = rig(&named, false, CoreConfig::default());
    assert_eq!(first.partitions(), 1);
    assert_eq!(first.close(), None);
    let second = rig("no-such-host.invalid:9092", false, CoreConfig::default());
    assert_eq!(second.close(), None, "nothing to deliver, nothing to wait for");
}

struct Call(Sender<()>);

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.0.send(()).expect("the test listens");
    }
}

/// With nothing else to wake up for, and once it has ended.
#[test]
fn an_alarm_wakes_the_io_thread() {
    let broker = MockBroker::builder().start().expect("a broker");
    let rig = rig(&broker.bootstrap(), false, CoreConfig::default());
    rig.partitions();
    rig.flush(1);
    std::thread::sleep(Duration::from_millis(100)); // it is asleep for minutes
    let (calls, called) = channel();
    let waker = Waker::from(Arc::new(Call(calls)));
    let later = rig.driver.alarm(PATIENCE * 60, waker.clone());
    let (begun, soon) = (Instant::now(), Duration::from_millis(50));
    rig.driver.alarm(soon, waker.clone());
    called.recv_timeout(PATIENCE).expect("at its time");
    assert!(begun.elapsed() >= soon, "not before");
    rig.driver.cancel(later);
    rig.driver.alarm(PATIENCE * 60, waker.clone());
    rig.driver.request(Request::Close { deadline: Time::MAX }).expect("alive");
    called.recv_timeout(PATIENCE).expect("at the end");
    rig.driver.join();
    rig.driver.alarm(PATIENCE * 60, waker);
    called.recv_timeout(PATIENCE).expect("after the end");
    assert!(called.try_recv().is_err(), "one that was taken back is not called");
}
