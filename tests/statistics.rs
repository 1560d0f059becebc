//! Figures that are told on an interval: as JSON, and through the `metrics` facade.
#![cfg(feature = "statistics")]

use forebay::{Producer, Record};
use forebay_mock_broker::MockBroker;
use serde_json::Value;
use std::sync::mpsc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn parsed(json: &str) -> Value {
    assert!(!json.contains('\n'), "one line");
    serde_json::from_str(json).expect("JSON")
}

#[test]
fn statistics_come_on_the_interval_and_a_last_time_at_the_close() {
    let broker = MockBroker::builder().partitions(1).start().expect("a broker on loopback");
    let (told, heard) = mpsc::channel();
    let producer = Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("client.id", "told \"so\"")
        .set("statistics.interval.ms", "20")
        .on_statistics(move |json| told.send(json.to_owned()).expect("somebody listens"))
        .build()
        .expect("a producer");
    let first = parsed(&heard.recv_timeout(LONG).expect("on the interval"));
    assert_eq!(first["client_id"], "told \"so\"");
    assert_eq!((first["type"].as_str(), first["txmsgs"].as_u64()), (Some("producer"), Some(0)));
    heard.recv_timeout(LONG).expect("again and again");
    let topic = producer.topic("numbers").expect("a name");
    for _ in 0..50 {
        producer.send(Record::to(topic).value(&[7; 100])).expect("accepted");
    }
    producer.close(LONG).expect("all delivered");
    let last = parsed(&heard.iter().last().expect("a last one: the channel ends with the producer's thread"));
    assert_eq!(last["txmsgs"], 50);
    assert_eq!(last["msg_size"], 0);
    assert_eq!(last["metrics"]["record-send-total"], 50);
    assert_eq!(last["metrics"]["connection-count"], 0);
    assert_eq!(last["topics"]["numbers"]["metrics"]["record-delivered-total"], 50);
    let brokers = last["brokers"].as_object().expect("brokers");
    let leader = brokers.values().find(|broker| broker["nodeid"].as_i64() >= Some(0)).expect("a node of the cluster");
    assert_eq!(leader["state"], "DOWN", "it is closed by then");
    assert!(leader["rtt"]["cnt"].as_u64() > Some(0) && leader["rtt"]["avg"].as_u64() <= leader["rtt"]["max"].as_u64());
    assert_eq!(leader["tx"], leader["rx"]);
    assert_eq!(parsed(&producer.statistics())["txmsgs"], 50, "also by hand, and after the close");
}

#[test]
fn a_callback_that_panics_or_closes_the_producer_is_no_harm() {
    let broker = MockBroker::builder().partitions(1).start().expect("a broker on loopback");
    let (handle, own) = mpsc::channel::<Producer>();
    let (done, closed) = mpsc::channel();
    let mut calls = 0;
    let producer = Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("statistics.interval.ms", "1")
        .on_statistics(move |_| {
            calls += 1;
            assert!(calls != 1, "the callback's bug");
            if let Ok(producer) = own.try_recv() {
                producer.close(LONG).expect("nothing was sent");
                done.send(calls).expect("somebody listens");
            }
        })
        .build()
        .expect("a producer");
    handle.send(producer).expect("the callback lives");
    assert!(closed.recv_timeout(LONG).expect("the close returns on the callback's own thread") > 1);
}

#[test]
fn without_an_interval_there_is_no_thread_and_no_word() {
    let broker = MockBroker::builder().partitions(1).start().expect("a broker on loopback");
    let producer = Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .on_statistics(|_| panic!("the interval is 0"))
        .build()
        .expect("a producer");
    producer.close(LONG).expect("nothing was sent");
}
