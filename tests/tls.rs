//! TLS through the public API: whom the producer believes, who believes it, and what it says when that is not so.
#![cfg(feature = "tls")]

#[path = "support/tls.rs"]
mod tls;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forebay::config::ConfigBuilder;
use forebay::{BuildError, FailureKind, Producer, ProducerBuilder, Record, SendErrorKind};
use forebay_mock_broker::MockBroker;
use tls::{Authority, Card, Door, Frame};

const LONG: Duration = Duration::from_secs(30);

/// A broker behind a door.
struct Place {
    broker: MockBroker,
    door: Door,
}

impl Place {
    /// The broker calls itself `host`.
    fn new(host: &str, card: &Card, ask: Option<&Authority>) -> Self {
        let frame = Frame::new();
        let broker = MockBroker::builder().advertise(host, frame.port()).start().expect("a broker");
        let door = frame.open(card, ask, broker.bootstrap());
        Self { broker, door }
    }

    fn builder(&self, host: &str, trusted: &str) -> ProducerBuilder {
        Producer::builder()
            .bootstrap_servers(self.door.at(host))
            .set("security.protocol", "SSL")
            .set("ssl.truststore.certificates", trusted)
    }
}

/// A file with this content, which goes with the test.
struct Text(PathBuf);

impl Text {
    fn new(content: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tls-{}-{}.pem", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, content).expect("a file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[track_caller]
fn assert_delivers(builder: ProducerBuilder, broker: &MockBroker) {
    let producer = builder.build().expect("a producer");
    let topic = producer.topic("safe").expect("a name");
    let mut sender = producer.sender().expect("open");
    let receipt = sender.send(Record::to(topic).value(b"over TLS")).expect("accepted");
    producer.wait(receipt, LONG).expect("delivered");
    producer.close(LONG).expect("closed");
    assert_eq!(broker.records("safe", 0)[0].value.as_deref(), Some(&b"over TLS"[..]));
}

/// Why nothing can be sent. It must be said long before `max.block.ms` is over, which is a minute.
#[track_caller]
fn refusal(builder: ProducerBuilder) -> Arc<str> {
    let producer = builder.build().expect("a producer");
    let topic = producer.topic("safe").expect("a name");
    let mut sender = producer.sender().expect("open");
    let error = sender.send(Record::to(topic).value(b"not over TLS")).map_err(|e| e.kind).expect_err("refused");
    let SendErrorKind::Authentication { reason } = error else { panic!("{error}") };
    drop(sender);
    producer.close(LONG).expect("nothing was accepted");
    reason
}

#[test]
fn a_broker_with_a_certificate_for_its_name_is_believed_and_asked_for_by_that_name() {
    let authority = Authority::new();
    let place = Place::new("localhost", &authority.card(&["localhost"]), None);
    assert_delivers(place.builder("localhost", &authority.pem()), &place.broker);
    assert_eq!(place.door.names(), vec!["localhost"; place.door.connections()]);
    let file = Text::new(&authority.pem());
    let from_file = Producer::builder()
        .bootstrap_servers(place.door.at("localhost"))
        .set("security.protocol", "SSL")
        .set("ssl.truststore.location", file.path());
    assert_delivers(from_file, &place.broker);
    let joined = authority.pem().replace('\n', " ");
    assert_delivers(place.builder("localhost", &joined).set("ssl.enabled.protocols", "TLSv1.2"), &place.broker);
}

#[test]
fn an_address_is_believed_if_it_is_in_the_certificate() {
    let authority = Authority::new();
    let place = Place::new("127.0.0.1", &authority.card(&["127.0.0.1"]), None);
    assert_delivers(place.builder("127.0.0.1", &authority.pem()), &place.broker);
}

#[test]
fn a_certificate_for_another_host_is_not_believed_unless_that_is_asked_for() {
    let authority = Authority::new();
    let place = Place::new("localhost", &authority.card(&["kafka.example"]), None);
    let why = refusal(place.builder("localhost", &authority.pem()));
    assert!(why.contains("localhost") && why.contains("not valid for name"), "{why}");
    let off = place.builder("localhost", &authority.pem()).set("ssl.endpoint.identification.algorithm", "");
    assert_delivers(off, &place.broker);
}

#[test]
fn expired_certificates_and_strangers_are_not_believed_whatever_the_host_check_says() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for algorithm in ["https", ""] {
        let of = |place: &Place, trusted: &str| {
            refusal(place.builder("localhost", trusted).set("ssl.endpoint.identification.algorithm", algorithm))
        };
        let expired = Place::new("localhost", &authority.expired(&["localhost"]), None);
        let why = of(&expired, &authority.pem());
        assert!(why.contains("expired"), "{why}");
        let unknown = Place::new("localhost", &stranger.card(&["localhost"]), None);
        let why = of(&unknown, &authority.pem());
        assert!(why.contains("UnknownIssuer") && why.contains("ssl.truststore.location"), "{why}");
    }
    let system = Place::new("localhost", &stranger.card(&["localhost"]), None);
    let trusts_the_system =
        Producer::builder().bootstrap_servers(system.door.at("localhost")).set("security.protocol", "SSL");
    match trusts_the_system.build() {
        Ok(_) => {}
        Err(BuildError::Tls(why)) => assert!(why.contains("the system has no trusted certificates"), "{why}"),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_broker_that_asks_who_we_are_is_told() {
    let authority = Authority::new();
    let place = Place::new("localhost", &authority.card(&["localhost"]), Some(&authority));
    let us = authority.card(&["producer"]);
    let why = refusal(place.builder("localhost", &authority.pem()));
    assert!(why.contains("CertificateRequired") || why.contains("certificate required"), "{why}");
    let with = |builder: ProducerBuilder| assert_delivers(builder, &place.broker);
    with(
        place
            .builder("localhost", &authority.pem())
            .set("ssl.keystore.type", "PEM")
            .set("ssl.keystore.key", &us.key)
            .set("ssl.keystore.certificate.chain", &us.certificate),
    );
    let file = Text::new(&format!("{}{}", us.key, us.certificate));
    with(place.builder("localhost", &authority.pem()).set("ssl.keystore.location", file.path()));
    assert!(place.door.client_certificates() >= 2);
    let stranger = Authority::new().card(&["producer"]);
    let why = refusal(
        place
            .builder("localhost", &authority.pem())
            .set("ssl.keystore.key", stranger.key)
            .set("ssl.keystore.certificate.chain", stranger.certificate),
    );
    assert!(why.contains("alert"), "{why}");
}

#[test]
fn a_broker_that_closes_in_the_middle_of_the_handshake_is_tried_again() {
    let authority = Authority::new();
    let place = Place::new("localhost", &authority.card(&["localhost"]), None);
    place.door.slam(3);
    assert_delivers(place.builder("localhost", &authority.pem()), &place.broker);
    assert!(place.door.connections() > 3);
}

#[test]
fn what_was_refused_is_delivered_once_the_broker_is_put_right() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let frame = Frame::new();
    let port = frame.port();
    let broker = MockBroker::builder().advertise("localhost", port).start().expect("a broker");
    let us = Text::new(&stranger.pem());
    let door = frame.open(&authority.card(&["localhost"]), None, broker.bootstrap());
    let place = Place { broker, door };
    let _ = refusal(place.builder("localhost", &stranger.pem()));
    drop(us);
    assert_delivers(place.builder("localhost", &authority.pem()), &place.broker);
}

#[test]
fn a_port_without_tls_is_tried_until_max_block_ms() {
    let broker = MockBroker::builder().start().expect("a broker");
    let authority = Authority::new();
    let builder = Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("security.protocol", "SSL")
        .set("max.block.ms", "1500")
        .set("ssl.truststore.certificates", authority.pem());
    let producer = builder.build().expect("a producer");
    let topic = producer.topic("safe").expect("a name");
    let mut sender = producer.sender().expect("open");
    // The mock broker closes at once, which may be the network's fault: it is tried until max.block.ms.
    let error = sender.send(Record::to(topic).value(b"x")).map_err(|e| e.kind).expect_err("no broker");
    assert!(matches!(error, SendErrorKind::UnknownTopic { .. }), "{error}");
}

#[test]
fn a_port_that_speaks_tls_is_named_as_such_to_a_producer_that_does_not() {
    let authority = Authority::new();
    let place = Place::new("localhost", &authority.card(&["localhost"]), None);
    let why = refusal(Producer::builder().bootstrap_servers(place.door.at("localhost")));
    assert!(why.contains("speaks TLS") && why.contains("security.protocol"), "{why}");
}

#[test]
fn large_records_and_many_of_them_pass_whole() {
    let authority = Authority::new();
    let place = Place::new("localhost", &authority.card(&["localhost"]), None);
    for acks in ["all", "0"] {
        let producer = place
            .builder("localhost", &authority.pem())
            .set("acks", acks)
            .set("compression.type", "none")
            .build()
            .expect("a producer");
        let topic = producer.topic(acks).expect("a name");
        let mut sender = producer.sender().expect("open");
        let mut random = fastrand::Rng::with_seed(5);
        let values: Vec<Vec<u8>> =
            (0..60).map(|i| (0..i * 12_000).map(|_| random.u8(..)).collect::<Vec<u8>>()).collect();
        for value in &values {
            sender.send(Record::to(topic).value(value)).expect("accepted");
        }
        drop(sender);
        producer.close(LONG).expect("all delivered");
        // Without acks the broker may still be reading what is on its way.
        for _ in 0..3_000 {
            if place.broker.records(acks, 0).len() == values.len() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let stored = place.broker.records(acks, 0);
        assert_eq!(stored.len(), values.len(), "acks={acks}");
        assert!(stored.iter().zip(&values).all(|(s, v)| s.value.as_deref() == Some(v)), "acks={acks}");
    }
}

#[test]
fn records_that_are_buffered_when_the_certificate_turns_bad_fail_with_the_reason() {
    let authority = Authority::new();
    let place = Place::new("localhost", &authority.card(&["localhost"]), None);
    // The broker's metadata sends the producer to a name that the certificate is not for.
    let frame = Frame::new();
    let broker = MockBroker::builder().advertise("127.0.0.1", frame.port()).start().expect("a broker");
    let door = frame.open(&authority.card(&["localhost"]), None, broker.bootstrap());
    drop(place);
    let place = Place { broker, door };
    let producer = place.builder("localhost", &authority.pem()).build().expect("a producer");
    let topic = producer.topic("safe").expect("a name");
    let mut sender = producer.sender().expect("open");
    let receipt = sender.send(Record::to(topic).value(b"x")).expect("metadata came from the right name");
    let error = producer.wait(receipt, LONG).expect_err("the leader is not believed");
    let forebay::DeliveryError::Failed(failure) = error else { panic!("{error}") };
    let FailureKind::Authentication { message } = &failure.kind else { panic!("{failure}") };
    assert!(message.contains("127.0.0.1") && !failure.possibly_appended, "{failure}");
}

#[test]
fn files_and_keys_that_cannot_be_used_are_errors_of_the_build_that_show_no_secret() {
    let authority = Authority::new();
    let us = authority.card(&["us"]);
    let base = || Producer::builder().bootstrap_servers("localhost:1").set("security.protocol", "SSL");
    let error = |builder: ProducerBuilder| match builder.build() {
        Err(BuildError::Tls(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("built"),
    };
    let why = error(base().set("ssl.truststore.location", "/nowhere/ca.pem"));
    assert!(why.contains("ssl.truststore.location") && why.contains("/nowhere/ca.pem"), "{why}");
    let why = error(base().set("ssl.truststore.certificates", "hunter2"));
    assert!(why.contains("BEGIN CERTIFICATE") && !why.contains("hunter2"), "{why}");
    let broken = us.key.replace("PRIVATE KEY", "SECRET KEY");
    let chain = |key: &str| {
        base()
            .set("ssl.truststore.certificates", authority.pem())
            .set("ssl.keystore.key", key)
            .set("ssl.keystore.certificate.chain", us.certificate.clone())
    };
    let why = error(chain(&broken));
    assert!(why.contains("private key") && !us.key.lines().any(|line| why.contains(line)), "{why}");
    // A key that is not the certificate's.
    let why = error(chain(&authority.card(&["other"]).key));
    assert!(why.contains("client certificate"), "{why}");
}

#[test]
fn settings_that_promise_more_than_they_do_are_refused() {
    let problems = |pairs: &[(&str, &str)]| {
        let builder = ConfigBuilder::new().bootstrap_servers("a:1").properties(pairs.iter().copied());
        let error = builder.build().expect_err("refused");
        let keys: Vec<String> = error.problems().iter().map(|p| p.key.clone()).collect();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        keys
    };
    assert_eq!(problems(&[("ssl.truststore.location", "x")]), ["ssl.truststore.location"]);
    let ssl = ("security.protocol", "SSL");
    assert_eq!(
        problems(&[ssl, ("ssl.endpoint.identification.algorithm", "none")]),
        ["ssl.endpoint.identification.algorithm"]
    );
    assert_eq!(problems(&[ssl, ("ssl.keystore.key", "hunter2")]), ["ssl.keystore.key"]);
    assert_eq!(problems(&[ssl, ("ssl.keystore.type", "jks")]), ["ssl.keystore.type"]);
    assert_eq!(problems(&[ssl, ("ssl.enabled.protocols", "TLSv1.1")]), ["ssl.enabled.protocols"]);
    let twice = [ssl, ("ssl.truststore.location", "x"), ("ssl.truststore.certificates", "hunter2")];
    assert_eq!(problems(&twice), ["ssl.truststore.certificates"]);
    assert_eq!(problems(&[("bootstrap.servers", "SSL://a:1")]), ["bootstrap.servers"]);
    let builder = ConfigBuilder::new().bootstrap_servers("SSL://a:1").set("security.protocol", "ssl");
    let config = builder.ssl_keystore_password("hunter2").build().expect("valid");
    assert!(config.tls().verifies_host());
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
}
