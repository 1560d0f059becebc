//! A send as a future: a task waits where a thread would, in the same line, for as long, and leaves nothing behind.

use forebay::{
    DeliveryReport, InterceptedRecord, Interceptor, Partitioner, Producer, ProducerBuilder, Record, SendErrorKind,
    SendFuture, Topic,
};
use forebay_mock_broker::{FaultSpec, MockBroker};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);
const VALUE: [u8; 1_000] = [7; 1_000];

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until ready, parked in between: a waker that is not called ends the test by its limit.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let begun = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park_timeout(LONG);
        assert!(begun.elapsed() < LONG, "nobody calls the task");
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn broker(partitions: u32) -> MockBroker {
    MockBroker::builder().partitions(partitions).start().expect("a broker on loopback")
}

fn builder(broker: &MockBroker) -> ProducerBuilder {
    Producer::builder().bootstrap_servers(broker.bootstrap())
}

/// A producer whose buffer of 1 MiB is full and stays so, and how many records are in it.
fn full(broker: &MockBroker, builder: ProducerBuilder) -> (Producer, Topic, u64) {
    let producer = builder.set("buffer.memory", "1048576").build().expect("a producer");
    let topic = producer.topic("full").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    stall(broker, true);
    let mut sender = producer.sender().expect("open");
    let mut accepted = 0;
    while sender.try_send(Record::to(topic).partition(0).value(&VALUE)).is_ok() {
        accepted += 1;
    }
    (producer, topic, accepted)
}

fn stall(broker: &MockBroker, on: bool) {
    if on {
        broker.faults().set("stall-reads".parse::<FaultSpec>().expect("a fault"));
    } else {
        broker.faults().stall_reads(false);
    }
}

#[test]
fn a_send_that_need_not_wait_is_ready_at_once() {
    let broker = broker(2);
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("t").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    let mut sender = producer.sender().expect("open");
    for round in 0..2 {
        let Poll::Ready(receipt) = poll_once(&mut sender.send_async(Record::to(topic).partition(1).value(b"x"))) else {
            panic!("{round}: there is room");
        };
        assert_eq!(producer.wait(receipt.expect("accepted"), LONG).expect("delivered").partition, 1);
        assert!(poll_once(&mut producer.send_async(Record::to(topic).key(b"k").value(b"y"))).is_ready());
    }
    producer.close(LONG).expect("all delivered");
    assert_eq!(broker.summary().records(), 4);
    let closed = block_on(sender.send_async(Record::to(topic).value(b"x"))).expect_err("closed");
    assert_eq!((closed.kind, closed.record.value), (SendErrorKind::Closed, Some(&b"x"[..])));
}

#[test]
fn the_first_send_waits_for_the_topic() {
    let broker = broker(1);
    let producer = builder(&broker).build().expect("a producer");
    let mut sender = producer.sender().expect("open");
    // The topic has been asked for a moment ago: by a sender's own future, and by a thread's.
    let first = producer.topic("first").expect("a name");
    block_on(sender.send_async(Record::to(first).value(b"x"))).expect("known by now");
    let second = producer.topic("second").expect("a name");
    block_on(producer.send_async(Record::to(second).value(b"x"))).expect("known by now");
    producer.close(LONG).expect("all delivered");
    assert_eq!((broker.records("first", 0).len(), broker.records("second", 0).len()), (1, 1));
}

#[test]
fn a_topic_that_does_not_exist_fails_after_max_block_and_one_that_appears_does_not() {
    let broker = MockBroker::builder().auto_create_topics(false).start().expect("a broker");
    let max_block = Duration::from_millis(300);
    let producer = builder(&broker).configure(|config| config.max_block(max_block)).build().expect("a producer");
    let topic = producer.topic("nowhere").expect("a legal name");
    let begun = Instant::now();
    let refused = block_on(producer.send_async(Record::to(topic).value(b"x"))).expect_err("unknown");
    assert!(
        matches!(&refused.kind, SendErrorKind::UnknownTopic { topic, code, waited } if topic == "nowhere" && code.0 == 3 && *waited >= max_block),
        "{}",
        refused.kind
    );
    assert!(begun.elapsed() >= max_block);
    producer.close(LONG).expect("nothing was sent");

    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("nowhere").expect("a legal name");
    let mut sender = producer.sender().expect("open");
    let mut future = sender.send_async(Record::to(topic).value(b"x"));
    assert!(poll_once(&mut future).is_pending());
    broker.create_topic("nowhere", 1).expect("created");
    block_on(future).expect("it exists now");
    producer.close(LONG).expect("delivered");
    assert_eq!(broker.records("nowhere", 0).len(), 1);
}

#[test]
fn a_partition_that_the_topic_has_not_is_waited_for() {
    let broker = broker(1);
    let max_block = Duration::from_millis(200);
    let producer = builder(&broker).configure(|config| config.max_block(max_block)).build().expect("a producer");
    let topic = producer.topic("grows").expect("a name");
    let begun = Instant::now();
    let refused = block_on(producer.send_async(Record::to(topic).partition(3).value(b"x"))).expect_err("one");
    assert!(matches!(refused.kind, SendErrorKind::UnknownPartition { partition: 3, partitions: 1, .. }));
    assert!(begun.elapsed() >= max_block);
    producer.close(LONG).expect("nothing was sent");
}

#[test]
fn a_task_waits_for_memory_and_is_called() {
    let broker = broker(1);
    let (producer, topic, accepted) = full(&broker, builder(&broker));
    let mut sender = producer.sender().expect("open");
    let record = Record::to(topic).value(&VALUE);
    let mut future = sender.send_async(record);
    assert!(poll_once(&mut future).is_pending());
    assert!(poll_once(&mut future).is_pending(), "and again");
    assert_eq!(producer.waiting_senders(), 1);
    let receipt = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            stall(&broker, false);
        });
        block_on(future).expect("the broker is awake")
    });
    producer.wait(receipt, LONG).expect("delivered");
    assert_eq!(producer.waiting_senders(), 0);
    producer.close(LONG).expect("all delivered");
    assert_eq!(broker.summary().records(), accepted + 1);
    let (free, total) = producer.buffer_bytes();
    assert_eq!(free, total, "all memory is back");
}

#[test]
fn a_full_buffer_fails_after_max_block() {
    let broker = broker(1);
    let max_block = Duration::from_millis(300);
    let (producer, topic, _) = full(&broker, builder(&broker).configure(|config| config.max_block(max_block)));
    let mut sender = producer.sender().expect("open");
    for round in 0..2 {
        let begun = Instant::now();
        let refused = block_on(sender.send_async(Record::to(topic).value(&VALUE))).expect_err("still full");
        assert!(
            matches!(refused.kind, SendErrorKind::TimedOut { waited } if waited >= max_block),
            "{round}: {}",
            refused.kind
        );
        assert_eq!(refused.record.value, Some(&VALUE[..]), "the record comes back");
        assert!(begun.elapsed() >= max_block);
        assert_eq!(producer.waiting_senders(), 0);
    }
    stall(&broker, false);
    producer.close(LONG).expect("all delivered");
}

#[test]
fn tasks_and_threads_wait_together() {
    let broker = broker(1);
    let (producer, topic, accepted) = full(&broker, builder(&broker));
    thread::scope(|scope| {
        for (place, is_task) in [true, false, true, false].into_iter().enumerate() {
            let producer = &producer;
            scope.spawn(move || {
                let mut sender = producer.sender().expect("open");
                let record = Record::to(topic).partition(0).value(&VALUE);
                let sent = if is_task { block_on(sender.send_async(record)) } else { sender.send(record) };
                sent.expect("room");
            });
            wait_for(|| producer.waiting_senders() > place);
        }
        stall(&broker, false);
    });
    assert_eq!(producer.waiting_senders(), 0);
    producer.close(LONG).expect("all delivered");
    assert_eq!(broker.summary().records(), accepted + 4);
}

fn wait_for(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONG, "it does not come to pass");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Before its turn has come, and with memory that was granted and not looked at.
#[test]
fn a_dropped_future_leaves_no_trace() {
    let broker = broker(1);
    let (producer, topic, accepted) = full(&broker, builder(&broker));
    let record = Record::to(topic).partition(0).value(&VALUE);
    let (mut first, mut second) = (producer.sender().expect("open"), producer.sender().expect("open"));
    let (mut first, mut second) = (first.send_async(record), second.send_async(record));
    let mut news = producer.send_async(Record { topic: producer.topic("unknown").expect("a name"), ..record });
    let task = Arc::new(Unpark(thread::current()));
    let waker = Waker::from(task.clone());
    let mut context = Context::from_waker(&waker);
    assert!(Pin::new(&mut first).poll(&mut context).is_pending());
    assert!(Pin::new(&mut news).poll(&mut context).is_pending(), "the broker reads nothing");
    assert!(poll_once(&mut second).is_pending());
    assert_eq!(producer.waiting_senders(), 2);
    drop((first, news));
    assert_eq!(producer.waiting_senders(), 1);
    assert_eq!(Arc::strong_count(&task), 2, "its waker and ours: nobody else keeps one, for an alarm or for news");
    stall(&broker, false);
    wait_for(|| producer.waiting_senders() == 0);
    drop(second);
    producer.flush(LONG).expect("delivered");
    wait_for(|| producer.buffer_bytes().0 == producer.buffer_bytes().1);
    producer.close(LONG).expect("all delivered");
    assert_eq!(broker.summary().records(), accepted);
}

#[test]
fn a_close_ends_the_wait() {
    let broker = broker(1);
    let (producer, topic, _) = full(&broker, builder(&broker));
    let unknown = producer.topic("unknown").expect("a name");
    let record = Record::to(topic).value(&VALUE);
    let mut sender = producer.sender().expect("open");
    let mut memory = sender.send_async(record);
    let mut news = producer.send_async(Record { topic: unknown, ..record });
    assert!(poll_once(&mut memory).is_pending());
    assert!(poll_once(&mut news).is_pending(), "the broker reads nothing");
    thread::scope(|scope| {
        scope.spawn(|| producer.close(Duration::from_millis(50)).expect_err("nothing is delivered"));
        assert_eq!(block_on(memory).expect_err("closed").kind, SendErrorKind::Closed);
        assert_eq!(block_on(news).expect_err("closed").kind, SendErrorKind::Closed);
    });
}

const RECORDS: u64 = 200;

async fn send_many(producer: Producer, topic: Topic, own: bool) {
    let mut sender = producer.sender().expect("open");
    for _ in 0..RECORDS {
        let record = Record::to(topic).value(&VALUE);
        let sent = if own { sender.send_async(record).await } else { producer.send_async(record).await };
        sent.map_err(|refused| refused.kind).expect("there will be room");
    }
}

/// Many tasks on few threads, far more records than memory: each arrives once.
#[test]
fn many_tasks_share_a_small_buffer() {
    const TASKS: u64 = 64;
    for (threads, own) in [("1", true), ("1", false), ("3", true), ("3", false)] {
        let broker = broker(6);
        let producer =
            builder(&broker).set("buffer.memory", "262144").set("io.threads", threads).build().expect("a producer");
        let topic = producer.topic("many").expect("a name");
        let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let local = tokio::task::LocalSet::new();
                    for _ in 0..TASKS / 2 {
                        local.spawn_local(send_many(producer.clone(), topic, own));
                    }
                    runtime().block_on(local);
                });
            }
        });
        producer.flush(LONG).expect("delivered");
        assert_eq!(producer.outcomes(), (TASKS * RECORDS, 0));
        producer.close(LONG).expect("all delivered");
        assert_eq!((broker.summary().records(), broker.summary().duplicates()), (TASKS * RECORDS, 0));
        let (free, total) = producer.buffer_bytes();
        assert_eq!(free, total, "all memory is back: {threads} I/O threads");
    }
}

#[derive(Clone, Default)]
struct Counts(Arc<[AtomicU32; 2]>);

impl Interceptor for Counts {
    fn on_send(&self, record: &mut InterceptedRecord<'_>) {
        self.0[0].fetch_add(1, Ordering::Relaxed);
        record.add_header("seen", &b"once"[..]);
    }

    fn on_refused(&self, record: &InterceptedRecord<'_>, _: &SendErrorKind) {
        assert_eq!(record.headers.len(), 1, "as it was changed");
        self.0[1].fetch_add(1, Ordering::Relaxed);
    }
}

impl Counts {
    fn read(&self) -> [u32; 2] {
        [0, 1].map(|which| self.0[which].load(Ordering::Relaxed))
    }
}

#[test]
fn interceptors_see_a_record_once_however_often_it_is_tried() {
    let (broker, counts) = (broker(1), Counts::default());
    let producer = builder(&broker)
        .interceptor(counts.clone())
        .configure(|config| config.max_block(Duration::from_secs(1)))
        .build()
        .expect("a producer");
    let topic = producer.topic("seen").expect("a name");
    let mut sender = producer.sender().expect("open");
    // Tried before the topic is known, and after.
    block_on(sender.send_async(Record::to(topic).value(b"x"))).expect("accepted");
    assert_eq!(counts.read(), [1, 0]);
    block_on(sender.send_async(Record::to(topic).partition(9).value(b"x"))).expect_err("no such partition");
    assert_eq!(counts.read(), [2, 1]);
    // Dropped while it waits, it was not accepted either.
    let mut future = sender.send_async(Record::to(topic).partition(9).value(b"x"));
    assert!(poll_once(&mut future).is_pending());
    drop(future);
    assert_eq!(counts.read(), [3, 2]);
    producer.close(LONG).expect("all delivered");
    assert_eq!(broker.records("seen", 0)[0].headers.len(), 1);
}

/// What it would wait for is done on that very thread.
#[test]
fn in_a_delivery_callback_it_does_not_wait() {
    let broker = MockBroker::builder().auto_create_topics(false).start().expect("a broker");
    broker.create_topic("t", 1).expect("created");
    let (kept, said) = (Arc::new(Mutex::new(None::<(Producer, Topic)>)), Arc::new(Mutex::new(None)));
    let callback = {
        let (kept, said) = (kept.clone(), said.clone());
        move |_: &DeliveryReport<'_>| {
            if let Some((producer, unknown)) = kept.lock().expect("no panic").take() {
                let refused = poll_once(&mut producer.send_async(Record::to(unknown).value(b"x")));
                *said.lock().expect("no panic") = Some(refused.map(|sent| sent.map_err(|refused| refused.kind)));
            }
        }
    };
    let producer = builder(&broker).on_delivery(callback).build().expect("a producer");
    let (topic, unknown) = (producer.topic("t").expect("a name"), producer.topic("nowhere").expect("a name"));
    *kept.lock().expect("no panic") = Some((producer.clone(), unknown));
    producer.send(Record::to(topic).value(b"x")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    producer.close(LONG).expect("all delivered");
    let said = said.lock().expect("no panic").take();
    assert!(matches!(said, Some(Poll::Ready(Err(SendErrorKind::UnknownTopic { .. })))), "{said:?}");
}

/// In turn; counts how often it is asked.
struct InTurn(Arc<AtomicU32>);

impl Partitioner for InTurn {
    fn partition(&mut self, _: &Record<'_>, partitions: u32) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed) % partitions
    }
}

/// What one I/O thread has granted is of no use for a partition of the other.
#[test]
fn a_record_that_waits_keeps_its_partition() {
    let (broker, asked) = (broker(2), Arc::<AtomicU32>::default());
    let theirs = asked.clone();
    let producer = builder(&broker)
        .set("io.threads", "2")
        .set("buffer.memory", "1048576")
        .partitioner(move || InTurn(theirs.clone()))
        .build()
        .expect("a producer");
    let topic = producer.topic("turns").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    stall(&broker, true);
    let mut filler = producer.sender().expect("open");
    for partition in 0..2 {
        while filler.try_send(Record::to(topic).partition(partition).value(&VALUE)).is_ok() {}
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let mut senders: Vec<_> = (0..8).map(|_| producer.sender().expect("open")).collect();
    let large = vec![7; 20_000];
    let mut futures: Vec<_> =
        senders.iter_mut().map(|sender| sender.send_async(Record::to(topic).value(&large))).collect();
    for future in &mut futures {
        assert!(poll_once(future).is_pending());
    }
    stall(&broker, false);
    for future in futures {
        block_on(future).expect("room");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 8, "each record's partition is chosen once");
    producer.close(LONG).expect("all delivered");
    let large = |partition| {
        broker
            .records("turns", partition)
            .iter()
            .filter(|r| r.value.as_ref().is_some_and(|v| v.len() == 20_000))
            .count()
    };
    assert_eq!((large(0), large(1)), (4, 4));
}

#[test]
fn a_wrong_answer_of_a_partitioner_fails_at_once() {
    struct Wrong;
    impl Partitioner for Wrong {
        fn partition(&mut self, _: &Record<'_>, partitions: u32) -> u32 {
            partitions
        }
    }
    let broker = broker(2);
    let producer = builder(&broker).partitioner(|| Wrong).build().expect("a producer");
    let topic = producer.topic("wrong").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    let refused = poll_once(&mut producer.send_async(Record::to(topic).value(b"x")));
    let refused = refused.map(|sent| sent.map_err(|refused| refused.kind));
    assert!(
        matches!(refused, Poll::Ready(Err(SendErrorKind::UnknownPartition { partition: 2, partitions: 2, .. }))),
        "{refused:?}"
    );
    producer.close(LONG).expect("nothing was sent");
}

#[test]
#[should_panic = "not polled after it has resolved"]
fn a_future_that_has_resolved_does_not_send_again() {
    let broker = broker(1);
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("once").expect("a name");
    let mut future = producer.send_async(Record::to(topic).value(b"x"));
    block_on(&mut future).expect("accepted");
    let _again = poll_once(&mut future);
}

#[test]
fn waits_are_measured_also_those_that_are_given_up() {
    let broker = broker(1);
    let (producer, topic, _) =
        full(&broker, builder(&broker).configure(|config| config.max_block(Duration::from_millis(50))));
    let exhausted = producer.metrics().buffer_exhausted.total;
    let mut future = producer.send_async(Record::to(topic).value(&VALUE));
    assert!(poll_once(&mut future).is_pending());
    thread::sleep(Duration::from_millis(20));
    let before = producer.metrics().bufferpool_wait_time;
    drop(future);
    let given_up = producer.metrics();
    assert!(given_up.bufferpool_wait_time > before, "{given_up:#?}");
    assert_eq!(given_up.buffer_exhausted.total, exhausted, "the caller's decision");
    block_on(producer.send_async(Record::to(topic).value(&VALUE))).expect_err("still full");
    assert_eq!(producer.metrics().buffer_exhausted.total, exhausted + 1);
    stall(&broker, false);
    producer.close(LONG).expect("all delivered");
}

fn _tasks_of_any_runtime_may_hold_it(future: SendFuture<'_, '_>) -> impl Send + Unpin {
    future
}
