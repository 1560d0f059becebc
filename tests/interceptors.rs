//! Interceptors (KIP-42): what they see and change, and that they cannot break a send.

use forebay::{
    DeliveryReport, InterceptedRecord, Interceptor, Partitioner, Producer, ProducerBuilder, Record, SendErrorKind,
};
use forebay_mock_broker::{FaultSpec, MockBroker};
use std::borrow::Cow;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

fn broker() -> MockBroker {
    MockBroker::builder().partitions(4).start().expect("a broker on loopback")
}

fn builder(broker: &MockBroker) -> ProducerBuilder {
    Producer::builder().bootstrap_servers(broker.bootstrap())
}

/// Appends its name to a header and to the value.
struct Stamp(&'static str);

impl Interceptor for Stamp {
    fn on_send(&self, record: &mut InterceptedRecord<'_>) {
        record.add_header("via", self.0.as_bytes().to_vec());
        if let Some(value) = &mut record.value {
            value.to_mut().extend_from_slice(self.0.as_bytes());
        }
    }
}

/// Writes down what it sees.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, text: String) {
        self.0.lock().expect("no panic in here").push(text);
    }

    fn read(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic in here"))
    }
}

impl Interceptor for Diary {
    fn on_send(&self, record: &mut InterceptedRecord<'_>) {
        let topic = record.topic_name().expect("of this producer");
        self.note(format!(
            "send {topic} {} {}",
            record.value.as_ref().map_or(0, |value| value.len()),
            record.headers.len()
        ));
    }

    fn on_acknowledgement(&self, report: &DeliveryReport<'_>) {
        let word = if report.result.is_ok() { "delivered" } else { "failed" };
        self.note(format!("{word} {} {}", report.topic, report.count));
    }

    fn on_refused(&self, record: &InterceptedRecord<'_>, why: &SendErrorKind) {
        let large = matches!(why, SendErrorKind::TooLarge { .. });
        self.note(format!("refused {} {large}", record.value.as_ref().map_or(0, |value| value.len())));
    }
}

struct Panics;

impl Interceptor for Panics {
    fn on_send(&self, record: &mut InterceptedRecord<'_>) {
        record.value = Some(Cow::Borrowed(b"half changed"));
        panic!("an interceptor's bug");
    }

    fn on_acknowledgement(&self, _: &DeliveryReport<'_>) {
        panic!("an interceptor's bug");
    }

    fn on_refused(&self, _: &InterceptedRecord<'_>, _: &SendErrorKind) {
        panic!("an interceptor's bug");
    }
}

#[test]
fn a_record_goes_through_all_interceptors_in_order_and_the_outcome_comes_back() {
    let (broker, diary) = (broker(), Diary::default());
    let producer = builder(&broker)
        .interceptor(Stamp("A"))
        .interceptor(Stamp("B"))
        .interceptor(diary.clone())
        .build()
        .expect("one");
    let topic = producer.topic("seen").expect("a name");
    let mut sender = producer.sender().expect("open");
    let receipt = sender.send(Record::to(topic).partition(1).value(b"v")).expect("accepted");
    assert_eq!(producer.wait(receipt, LONG).expect("delivered").partition, 1);
    producer.flush(LONG).expect("delivered"); // after the callback, where a receipt is decided before it
    assert_eq!(diary.read(), ["send seen 3 2", "delivered seen 1"]);
    producer.send(Record::to(topic).partition(1).value(b"shared")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    assert_eq!(diary.read(), ["send seen 8 2", "delivered seen 1"], "the shared sender too");
    let stored = broker.records("seen", 1);
    assert_eq!(stored[0].value.as_deref(), Some(&b"vAB"[..]));
    assert_eq!(stored[0].headers.len(), 2);
    assert_eq!(stored[1].value.as_deref(), Some(&b"sharedAB"[..]));
    producer.close(LONG).expect("all delivered");
}

#[test]
fn a_reservation_carries_the_headers_of_interceptors() {
    let (broker, diary) = (broker(), Diary::default());
    let producer = builder(&broker).interceptor(Stamp("A")).interceptor(diary.clone()).build().expect("a producer");
    let topic = producer.topic("reserved").expect("a name");
    let mut sender = producer.sender().expect("open");
    for len in [5, 20_000] {
        let mut reservation = sender.reserve(Record::to(topic).partition(0).key(b"k"), len).expect("room");
        reservation.write_all(&vec![7; len]).expect("room");
        reservation.commit().expect("open");
    }
    producer.flush(LONG).expect("delivered");
    assert_eq!(diary.read()[..2], ["send reserved 0 1", "send reserved 0 1"], "the value does not exist yet");
    let stored = broker.records("reserved", 0);
    assert_eq!(stored.iter().map(|r| r.value.as_ref().map_or(0, Vec::len)).collect::<Vec<_>>(), [5, 20_000]);
    assert!(stored.iter().all(|record| record.headers.len() == 1), "{stored:?}");
    producer.close(LONG).expect("all delivered");
}

#[test]
fn a_panic_in_an_interceptor_breaks_nothing() {
    let (broker, diary) = (broker(), Diary::default());
    let producer = builder(&broker).interceptor(Panics).interceptor(diary.clone()).build().expect("a producer");
    let topic = producer.topic("safe").expect("a name");
    let mut sender = producer.sender().expect("open");
    sender.send(Record::to(topic).partition(0).value(b"whole")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    assert_eq!(
        diary.read(),
        ["send safe 5 0", "delivered safe 1"],
        "as the record was before, and the next one is asked"
    );
    let large = vec![7; 2_000_000];
    let refused = sender.send(Record::to(topic).value(&large)).expect_err("too large");
    assert!(matches!(refused.kind, SendErrorKind::TooLarge { .. }));
    assert_eq!(refused.record.value.map(<[u8]>::len), Some(2_000_000), "the caller's record comes back");
    assert_eq!(diary.read(), ["send safe 2000000 0", "refused 2000000 true"]);
    assert_eq!(broker.records("safe", 0)[0].value.as_deref(), Some(&b"whole"[..]));
    producer.close(LONG).expect("all delivered");
}

#[test]
fn failures_are_seen_before_the_delivery_callback() {
    let (broker, diary) = (broker(), Diary::default());
    let callback = diary.clone();
    let producer = builder(&broker)
        .interceptor(diary.clone())
        .on_delivery(move |report| callback.note(format!("callback {}", report.count)))
        .build()
        .expect("a producer");
    let topic = producer.topic("failing").expect("a name");
    broker.faults().set("produce-error=87:next=1".parse::<FaultSpec>().expect("a fault")); // INVALID_RECORD
    producer.send(Record::to(topic).partition(0).value(b"bad")).expect("accepted");
    producer.flush(LONG).expect_err("refused");
    assert_eq!(diary.read(), ["send failing 3 0", "failed failing 1", "callback 1"]);
    producer.close(LONG).expect("told by the flush");
}

struct Explodes;

impl Partitioner for Explodes {
    fn partition(&mut self, record: &Record<'_>, _: u32) -> u32 {
        assert!(record.key != Some(b"boom"), "the partitioner's bug");
        0
    }
}

#[test]
fn a_panic_of_the_partitioner_does_not_lead_past_the_interceptors() {
    let (broker, diary) = (broker(), Diary::default());
    let producer = builder(&broker).interceptor(diary.clone()).partitioner(|| Explodes).build().expect("a producer");
    let topic = producer.topic("partitioned").expect("a name");
    let mut sender = producer.sender().expect("open");
    sender.send(Record::to(topic).value(b"1")).expect("accepted");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = sender.send(Record::to(topic).key(b"boom").value(b"22"));
    }));
    assert!(panicked.is_err());
    sender.send(Record::to(topic).value(b"333")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    let sends: Vec<_> = diary.read().into_iter().filter(|line| line.starts_with("send")).collect();
    assert_eq!(sends, ["send partitioned 1 0", "send partitioned 2 0", "send partitioned 3 0"]);
    producer.close(LONG).expect("all delivered");
}
