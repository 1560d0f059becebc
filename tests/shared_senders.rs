//! Sending through a producer without a sender of one's own: what a thread has under the hood goes when the producer does, and nothing
//! that the application's code does within a send makes anybody wait for itself.

use forebay::{Partitioner, Producer, ProducerBuilder, Record, SendErrorKind};
use forebay_mock_broker::MockBroker;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

fn broker() -> MockBroker {
    MockBroker::builder().partitions(1).start().expect("a broker on loopback")
}

fn builder(broker: &MockBroker) -> ProducerBuilder {
    Producer::builder().bootstrap_servers(broker.bootstrap()).set("linger.ms", "0")
}

/// Counts those that are alive: a thread's lanes own one.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Counted(alive.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Partitioner for Counted {
    fn partition(&mut self, _: &Record<'_>, _: u32) -> u32 {
        0
    }
}

fn send(producer: &Producer) {
    let topic = producer.topic("t").expect("a name");
    producer.send(Record::to(topic).value(b"x")).expect("accepted");
}

/// The I/O thread has ended by itself, so that nobody closes the producer.
#[test]
fn a_thread_keeps_nothing_of_a_producer_that_failed() {
    let (broker, alive) = (broker(), Arc::new(AtomicUsize::new(0)));
    let (counted, running) = (alive.clone(), Arc::new(AtomicUsize::new(0)));
    let runs = Counted::new(&running);
    let producer = builder(&broker)
        .partitioner(move || Counted::new(&counted))
        .on_delivery(move |_| panic!("the callback's own, of {}", runs.0.load(Ordering::SeqCst)))
        .build()
        .expect("a producer");
    send(&producer);
    assert_eq!(alive.load(Ordering::SeqCst), 1);
    while producer.sender().is_ok() || running.load(Ordering::SeqCst) > 0 {
        thread::sleep(Duration::from_millis(1)); // until the I/O thread has ended, and its callback is gone
    }
    thread::sleep(Duration::from_millis(50));
    drop(producer);
    assert_eq!(alive.load(Ordering::SeqCst), 0, "this thread still has its lanes, and with them the buffer");
}

#[test]
fn a_close_within_a_send_returns_and_so_does_everybody_elses() {
    struct Closes(Arc<OnceLock<Producer>>);
    impl Partitioner for Closes {
        fn partition(&mut self, _: &Record<'_>, _: u32) -> u32 {
            self.0.get().expect("set before").close(LONG).expect("nothing was lost");
            0
        }
    }
    let (broker, own) = (broker(), Arc::new(OnceLock::new()));
    let theirs = own.clone();
    let producer = builder(&broker).partitioner(move || Closes(theirs.clone())).build().expect("a producer");
    assert!(own.set(producer.clone()).is_ok());
    let (done, ended) = channel();
    for _ in 0..3 {
        let (producer, done) = (producer.clone(), done.clone());
        thread::spawn(move || {
            let topic = producer.topic("t").expect("a name");
            let refused = producer.send(Record::to(topic).value(b"x")).expect_err("closed within").kind;
            producer.close(LONG).expect("closed already");
            done.send(refused)
        });
    }
    for _ in 0..3 {
        let refused = ended.recv_timeout(LONG).expect("a close within a send hangs");
        assert_eq!(refused, SendErrorKind::Closed);
    }
    assert_eq!(broker.summary().records(), 0);
}

#[test]
fn a_partitioner_that_sends_while_it_is_made_is_told() {
    let (broker, own) = (broker(), Arc::new(OnceLock::<Producer>::new()));
    let (theirs, told) = (own.clone(), Arc::new(AtomicUsize::new(0)));
    let count = told.clone();
    let alive = Arc::new(AtomicUsize::new(0));
    let producer = builder(&broker)
        .partitioner(move || {
            if let Some(producer) = theirs.get() {
                let topic = producer.topic("t").expect("a name");
                let refused = producer.send(Record::to(topic).value(b"x")).expect_err("within a send").kind;
                assert_eq!(refused, SendErrorKind::WithinSend);
                count.fetch_add(1, Ordering::SeqCst);
            }
            Counted::new(&alive)
        })
        .build()
        .expect("a producer");
    assert!(own.set(producer.clone()).is_ok());
    send(&producer);
    send(&producer);
    assert_eq!(told.load(Ordering::SeqCst), 1, "it is made once");
    producer.close(LONG).expect("all delivered");
    assert_eq!(broker.summary().records(), 2);
}

/// What a thread has is gone when a destructor of its other thread-locals sends, as loggers do.
#[test]
fn a_thread_that_ends_may_still_send() {
    struct Farewell(Producer);
    impl Drop for Farewell {
        fn drop(&mut self) {
            send(&self.0);
        }
    }
    thread_local!(static LAST: OnceLock<Farewell> = const { OnceLock::new() });
    let broker = broker();
    let producer = builder(&broker).build().expect("a producer");
    let theirs = producer.clone();
    let thread = thread::spawn(move || {
        LAST.with(|last| assert!(last.set(Farewell(theirs.clone())).is_ok()));
        send(&theirs);
    });
    thread.join().expect("no panic");
    producer.close(LONG).expect("all delivered");
    assert_eq!(broker.summary().records(), 2);
}
