//! What callers meet at the end and inside callbacks: nobody hangs, and everybody is told.

use forebay::{
    CloseError, DeliveryError, FailureKind, FlushError, Partitioner, Producer, Receipt, Record, SendErrorKind,
};
use forebay_mock_broker::{FaultSpec, MockBroker};
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Far beyond what anything here takes; `max.block.ms` is longer still.
const LONG: Duration = Duration::from_secs(30);

fn broker(fault: &str) -> MockBroker {
    let broker = MockBroker::builder().partitions(1).start().expect("a broker on loopback");
    set(&broker, fault);
    broker
}

fn set(broker: &MockBroker, fault: &str) {
    if !fault.is_empty() {
        broker.faults().set(fault.parse::<FaultSpec>().expect("a fault"));
    }
}

fn builder(broker: &MockBroker) -> forebay::ProducerBuilder {
    Producer::builder().bootstrap_servers(broker.bootstrap()).set("linger.ms", "0")
}

/// Does something on a thread of its own; the answer comes through a channel, so that a hang is seen.
fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (answer, answered) = channel();
    thread::spawn(move || answer.send(work()));
    answered
}

fn told<T>(answered: &Receiver<T>, who: &str) -> T {
    answered.recv_timeout(LONG).unwrap_or_else(|error| match error {
        RecvTimeoutError::Timeout => panic!("{who} hangs"),
        RecvTimeoutError::Disconnected => panic!("{who} panicked"),
    })
}

fn send(producer: &Producer, value: &[u8]) -> Receipt {
    let topic = producer.topic("t").expect("a name");
    producer.send(Record::to(topic).value(value)).map_err(|error| error.kind).expect("accepted")
}

#[test]
fn several_threads_close_and_each_returns_when_all_is_decided() {
    let broker = broker("delay-ms=50");
    let producer = builder(&broker).build().expect("a producer");
    let receipts: Vec<_> = (0..100).map(|_| send(&producer, b"x")).collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                producer.close(LONG).expect("all delivered");
                let pending = receipts.iter().filter(|receipt| producer.poll(**receipt).is_none()).count();
                assert_eq!(pending, 0, "a close returned before every record was decided");
            });
        }
    });
    assert_eq!(broker.summary().records(), 100);
}

#[test]
fn of_several_closes_the_earliest_deadline_counts() {
    let broker = broker("stall-responses");
    let producer = builder(&broker).build().expect("a producer");
    broker.faults().clear();
    let topic = producer.topic("t").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    set(&broker, "stall-responses");
    let receipt = send(&producer, b"x");
    let patient = producer.clone();
    let patient = apart(move || patient.close(Duration::MAX));
    while producer.sender().is_ok() {
        thread::yield_now();
    }
    let hasty = producer.clone();
    let hasty = told(&apart(move || hasty.close(Duration::from_millis(20))), "the hasty close");
    let patient = told(&patient, "the patient close");
    let failed = |end: &Result<(), CloseError>| matches!(end, Err(CloseError::Failed { failed: 1, .. }));
    assert!(failed(&hasty) != failed(&patient), "one of them is told: {hasty:?}, {patient:?}");
    assert!(matches!(producer.poll(receipt), Some(Err(DeliveryError::Failed(why))) if why.kind == FailureKind::Closed));
}

/// What a callback was answered.
#[derive(Debug)]
struct Answers {
    flush: Result<(), FlushError>,
    wait: Result<forebay::Delivery, DeliveryError>,
    partitions: Result<u32, SendErrorKind>,
    sent: u64,
    refused: SendErrorKind,
}

#[test]
fn a_callback_may_send_and_nothing_in_it_waits() {
    let broker = broker("");
    let own = Arc::new(OnceLock::<Producer>::new());
    let (answer, answered) = channel();
    let mine = own.clone();
    let mut once = false;
    let producer = builder(&broker)
        .configure(|config| config.buffer_memory(1 << 20))
        .on_delivery(move |_| {
            let Some(producer) = mine.get().filter(|_| !std::mem::replace(&mut once, true)) else { return };
            let nowhere = producer.topic("nowhere-yet").expect("a name");
            let partitions = producer.partitions_for(nowhere, Duration::MAX);
            let mut sent = 0;
            let mut wait = Err(DeliveryError::Foreign);
            let topic = producer.topic("t").expect("a name");
            let refused = loop {
                match producer.send(Record::to(topic).value(&[7; 1_000])) {
                    Ok(receipt) => {
                        sent += 1;
                        wait = producer.wait(receipt, Duration::MAX);
                    }
                    Err(error) => break error.kind,
                }
            };
            let flush = producer.flush(Duration::MAX);
            answer.send(Answers { flush, wait, partitions, sent, refused }).expect("the test listens");
        })
        .build()
        .expect("a producer");
    assert!(own.set(producer.clone()).is_ok());
    send(&producer, b"first");
    let answers = told(&answered, "the callback");
    assert_eq!(answers.flush, Err(FlushError::InCallback));
    assert_eq!(answers.wait, Err(DeliveryError::Pending));
    assert!(matches!(answers.partitions, Err(SendErrorKind::UnknownTopic { .. })), "{answers:?}");
    assert_eq!(answers.refused, SendErrorKind::Full, "who could free the buffer is busy with this callback");
    assert!(answers.sent > 900, "{answers:?}");
    producer.flush(LONG).expect("what the callback sent is delivered");
    assert_eq!(broker.summary().records(), answers.sent + 1);
    producer.close(LONG).expect("all delivered");
}

#[test]
fn a_close_inside_a_callback_begins_the_end_for_everyone() {
    let broker = broker("");
    let own = Arc::new(OnceLock::<Producer>::new());
    let (answer, answered) = channel();
    let mine = own.clone();
    let producer = builder(&broker)
        .on_delivery(move |_| {
            if let Some(producer) = mine.get() {
                answer.send(producer.close(LONG)).ok();
            }
        })
        .build()
        .expect("a producer");
    assert!(own.set(producer.clone()).is_ok());
    let topic = producer.topic("t").expect("a name");
    let mut sender = producer.sender().expect("open");
    let mut receipts = vec![sender.send(Record::to(topic).value(b"x")).map_err(|error| error.kind).expect("accepted")];
    told(&answered, "the close in the callback").expect("it has only begun");
    while let Ok(receipt) = sender.send(Record::to(topic).value(b"y")) {
        receipts.push(receipt);
    }
    let rest = producer.clone();
    told(&apart(move || rest.close(LONG)), "the close outside").expect("all delivered");
    assert!(receipts.iter().all(|receipt| matches!(producer.poll(*receipt), Some(Ok(_)))));
}

#[test]
fn a_panic_reaches_everyone_who_waits_for_anything() {
    let broker = broker("");
    let (go, panics) = channel::<()>();
    let panics = Mutex::new(panics);
    let producer = builder(&broker)
        .set("request.timeout.ms", "300")
        .set("delivery.timeout.ms", "1000")
        .configure(|config| config.buffer_memory(1 << 20))
        .on_delivery(move |_| {
            let _ = panics.lock().expect("no panic before").recv_timeout(LONG);
            panic!("the callback's own")
        })
        .build()
        .expect("a producer");
    let topic = producer.topic("t").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    set(&broker, "stall-reads");
    let receipt = send(&producer, b"x");
    let mut sender = producer.sender().expect("open");
    while sender.try_send(Record::to(topic).value(&[1; 1_000])).is_ok() {}
    let blocked = apart(move || {
        loop {
            // Memory comes back for a moment where records expire.
            if let Err(error) = sender.send(Record::to(topic).value(&[1; 1_000])) {
                break error.kind;
            }
        }
    });
    let clones: Vec<_> = (0..5).map(|_| producer.clone()).collect();
    let [flushes, waits, awaits, asks, closes] = <[Producer; 5]>::try_from(clones).expect("five");
    let flush = apart(move || flushes.flush(Duration::MAX));
    let wait = apart(move || waits.wait(receipt, Duration::MAX));
    let future = apart(move || block_on(awaits.delivery(receipt)));
    let metadata = apart(move || asks.partitions_for(asks.topic("nowhere").expect("a name"), Duration::MAX));
    while producer.waiting_senders() == 0 && !matches!(producer.poll(receipt), Some(Err(_))) {
        thread::yield_now();
    }
    go.send(()).expect("the callback listens");
    assert_eq!(told(&blocked, "a sender that waits for memory"), SendErrorKind::Closed);
    assert_eq!(told(&flush, "a flush"), Err(FlushError::Closed));
    assert!(matches!(told(&wait, "a wait for a receipt"), Err(DeliveryError::Failed(_))));
    assert!(matches!(told(&future, "a future"), Err(DeliveryError::Failed(_))));
    assert_eq!(told(&metadata, "a wait for a topic"), Err(SendErrorKind::Closed));
    let closed = told(&apart(move || closes.close(Duration::MAX)), "the close");
    assert!(matches!(closed, Err(CloseError::Poisoned(why)) if why == "the callback's own"));
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_asleep() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("the waker's own")
        }
    }
    let broker = broker("");
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("t").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    set(&broker, "stall-reads");
    // Many senders with two bombs each: whichever log is told first, others come after it.
    let mut senders: Vec<_> = (0..20).map(|_| producer.sender().expect("open")).collect();
    let mut send = |at: usize| senders[at].send(Record::to(topic).value(b"x")).map_err(|e| e.kind).expect("accepted");
    let mut bombs = Vec::new();
    for at in 0..10 {
        for _ in 0..2 {
            let mut future = Box::pin(producer.delivery(send(at)));
            let bomb = Waker::from(Arc::new(Bomb));
            assert!(future.as_mut().poll(&mut Context::from_waker(&bomb)).is_pending());
            bombs.push(future);
        }
    }
    let waiting: Vec<_> = (10..20).map(send).map(|receipt| (producer.clone(), receipt)).collect();
    let waiting: Vec<_> =
        waiting.into_iter().map(|(own, receipt)| apart(move || block_on(own.delivery(receipt)))).collect();
    let own = producer.clone();
    let flush = apart(move || own.flush(Duration::MAX));
    let own = producer.clone();
    let closed = told(&apart(move || own.close(Duration::from_millis(50))), "the close");
    assert!(matches!(closed, Err(CloseError::Poisoned(why)) if why == "the waker's own"));
    assert_eq!(told(&flush, "a flush"), Err(FlushError::Closed));
    for future in &waiting {
        assert!(matches!(told(future, "a future"), Err(DeliveryError::Failed(_))));
    }
}

#[test]
fn a_waker_may_poll_and_drop_its_future_at_once() {
    /// An executor that runs a task wherever it is woken.
    struct Inline {
        future: Mutex<Option<Pin<Box<forebay::DeliveryFuture>>>>,
        done: Mutex<std::sync::mpsc::Sender<bool>>,
    }
    impl Wake for Inline {
        fn wake(self: Arc<Self>) {
            let Some(mut future) = self.future.lock().expect("no panic").take() else { return };
            let waker = Waker::from(self.clone());
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            self.done.lock().expect("no panic").send(polled.is_ready()).expect("the test listens");
        }
    }
    let broker = broker("");
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("t").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    set(&broker, "stall-responses");
    let (done, is_done) = channel();
    let task = Arc::new(Inline { future: Mutex::default(), done: Mutex::new(done) });
    let mut future = Box::pin(producer.delivery(send(&producer, b"x")));
    assert!(future.as_mut().poll(&mut Context::from_waker(&Waker::from(task.clone()))).is_pending());
    *task.future.lock().expect("no panic") = Some(future);
    broker.faults().clear();
    assert!(told(&is_done, "the waker"), "woken with the outcome");
    producer.close(LONG).expect("all delivered");
}

#[test]
fn receipts_of_senders_long_gone_are_decided_at_the_end_as_well() {
    let broker = broker("");
    let producer = builder(&broker).on_delivery(|_| panic!("the callback's own")).build().expect("a producer");
    let topic = producer.topic("t").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    set(&broker, "stall-responses");
    let futures: Vec<_> = (0..200)
        .map(|_| {
            let mut sender = producer.sender().expect("open");
            let receipt = sender.send(Record::to(topic).value(b"x")).map_err(|error| error.kind).expect("accepted");
            producer.delivery(receipt)
        })
        .collect();
    let futures: Vec<_> = futures.into_iter().map(|future| apart(move || block_on(future))).collect();
    broker.faults().clear();
    for future in &futures {
        let outcome = told(future, "a future of a sender that is gone");
        assert_ne!(outcome, Err(DeliveryError::Foreign));
    }
    assert!(matches!(producer.close(LONG), Err(CloseError::Poisoned(_))));
}

#[test]
fn a_partitioner_that_panics_or_sends_harms_its_caller_only() {
    struct Odd(Arc<OnceLock<Producer>>);
    impl Partitioner for Odd {
        fn partition(&mut self, record: &Record<'_>, _: u32) -> u32 {
            assert!(record.key != Some(b"panic"), "the partitioner's own");
            if record.key == Some(b"again")
                && let Some(producer) = self.0.get()
            {
                let refused = producer.send(*record).expect_err("within a send");
                assert_eq!(refused.kind, SendErrorKind::WithinSend);
            }
            0
        }
    }
    let broker = broker("");
    let own = Arc::new(OnceLock::<Producer>::new());
    let theirs = own.clone();
    let producer = builder(&broker).partitioner(move || Odd(theirs.clone())).build().expect("a producer");
    assert!(own.set(producer.clone()).is_ok());
    let topic = producer.topic("t").expect("a name");
    let work = move || {
        let mut sender = producer.sender().expect("open");
        for key in ["panic", "fine"] {
            let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                sender.send(Record::to(topic).key(key.as_bytes())).map_err(|error| error.kind).expect("accepted");
                producer.send(Record::to(topic).key(key.as_bytes())).map_err(|error| error.kind).expect("accepted");
            }));
            assert_eq!(sent.is_ok(), key == "fine");
        }
        let shared = || producer.send(Record::to(topic).key(b"panic")).is_ok();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(shared)).is_err());
        producer.send(Record::to(topic).key(b"again")).map_err(|error| error.kind).expect("accepted");
        producer.close(LONG)
    };
    told(&apart(work), "the sender").expect("all delivered");
    assert_eq!(broker.summary().records(), 3);
}

#[test]
fn dropping_the_last_handle_waits_for_max_block_ms_and_fails_the_rest() {
    let broker = broker("");
    let (report, reports) = channel();
    let producer = builder(&broker)
        .set("max.block.ms", "100")
        .on_delivery(move |seen| {
            report.send((seen.count, seen.result.expect_err("undeliverable").clone())).expect("the test listens");
        })
        .build()
        .expect("a producer");
    let topic = producer.topic("t").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    set(&broker, "stall-reads");
    for _ in 0..10 {
        send(&producer, b"x");
    }
    told(&apart(move || drop(producer)), "the drop");
    let failed: u32 = reports
        .iter()
        .map(|(count, why)| {
            assert_eq!(why.kind, FailureKind::Closed);
            count
        })
        .sum();
    assert_eq!(failed, 10, "each record has its outcome before the last handle is gone");
}

#[test]
fn metadata_and_memory_share_one_budget() {
    let broker = MockBroker::builder().auto_create_topics(false).start().expect("a broker");
    broker.create_topic("full", 1).expect("created");
    let max_block = Duration::from_secs(2);
    let producer = builder(&broker)
        .configure(|config| config.buffer_memory(1 << 20).max_block(max_block))
        .set("retry.backoff.ms", "20")
        .set("retry.backoff.max.ms", "20")
        .build()
        .expect("a producer");
    let (full, late) = (producer.topic("full").expect("a name"), producer.topic("late").expect("a name"));
    producer.partitions_for(full, LONG).expect("known");
    let mut sender = producer.sender().expect("open");
    set(&broker, "produce-error=19");
    while sender.try_send(Record::to(full).value(&[1; 1_000])).is_ok() {}
    let begun = Instant::now();
    let calls = [true, false].map(|reserve| {
        let mut sender = producer.sender().expect("open");
        apart(move || {
            let value = vec![2; 100_000];
            let record = Record::to(late).value(&value);
            let kind = if reserve {
                sender.reserve(record, 100_000).err().map(|error| error.kind)
            } else {
                sender.send(record).err().map(|error| error.kind)
            };
            (kind, begun.elapsed())
        })
    });
    let metadata = Duration::from_secs(1);
    thread::sleep(metadata);
    broker.create_topic("late", 1).expect("created");
    for call in &calls {
        let (kind, elapsed) = told(call, "a call");
        assert!(matches!(kind, Some(SendErrorKind::TimedOut { waited }) if waited >= max_block), "{kind:?}");
        assert!(elapsed >= max_block);
        // The sum of two budgets; the limit is a second away from what is expected.
        assert!(elapsed < metadata + max_block, "{elapsed:?}: a budget for metadata and another one for memory");
    }
    producer.close(Duration::ZERO).expect_err("the broker refuses everything");
}
