//! SASL through the public API: who is let in, what whoever is not is told, and that no secret is ever shown.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay::config::ConfigBuilder;
use forebay::{BuildError, DeliveryError, FailureKind, OAuthToken, Producer, ProducerBuilder, Record, SendErrorKind};
use forebay_mock_broker::{Builder, MockBroker};

const LONG: Duration = Duration::from_secs(30);
const SECRET: &str = "hunter2=,\\\"";

fn broker(configure: impl FnOnce(Builder) -> Builder) -> MockBroker {
    configure(MockBroker::builder().user("me=,", SECRET).token("good.token")).start().expect("a broker")
}

fn builder(broker: &MockBroker, mechanism: &str) -> ProducerBuilder {
    Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", mechanism)
}

fn with_password(broker: &MockBroker, mechanism: &str, password: &str) -> ProducerBuilder {
    builder(broker, mechanism).set("sasl.username", "me=,").set("sasl.password", password)
}

#[track_caller]
fn assert_delivers(builder: ProducerBuilder) {
    let producer = builder.build().expect("a producer");
    let topic = producer.topic("known").expect("a name");
    let mut sender = producer.sender().expect("open");
    let receipt = sender.send(Record::to(topic).value(b"from me")).expect("accepted");
    producer.wait(receipt, LONG).expect("delivered");
    drop(sender);
    producer.close(LONG).expect("closed");
}

/// Why nothing can be sent. It must be said long before `max.block.ms` is over, which is a minute.
#[track_caller]
fn refusal(builder: ProducerBuilder) -> Arc<str> {
    let producer = builder.build().expect("a producer");
    let topic = producer.topic("known").expect("a name");
    let mut sender = producer.sender().expect("open");
    let error = sender.send(Record::to(topic).value(b"from a stranger")).map_err(|e| e.kind).expect_err("refused");
    let SendErrorKind::Authentication { reason } = error else { panic!("{error}") };
    drop(sender);
    producer.close(LONG).expect("nothing was accepted");
    reason
}

#[test]
fn every_mechanism_lets_in_whoever_knows_the_password_or_has_the_token() {
    let broker = broker(|b| b);
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "scram-sha-512"] {
        assert_delivers(with_password(&broker, mechanism, SECRET));
    }
    let escaped = SECRET.replace('\\', "\\\\").replace('"', "\\\"");
    let jaas = format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username='me=,' password=\"{escaped}\";"
    );
    assert_delivers(builder(&broker, "SCRAM-SHA-256").set("sasl.jaas.config", jaas));
    assert_delivers(builder(&broker, "OAUTHBEARER").oauth_token(|| Ok(OAuthToken::new("good.token"))));
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("token-{}", std::process::id()));
    std::fs::write(&file, "good.token\n").expect("a file");
    let url = format!("file://{}", file.display());
    assert_delivers(builder(&broker, "OAUTHBEARER").set("sasl.oauthbearer.token.endpoint.url", url));
    std::fs::remove_file(&file).expect("the file can go");
    assert_eq!(broker.records("known", 0).len(), 7);
}

#[test]
fn old_brokers_authenticate_with_older_messages() {
    for version in [0, 1] {
        let broker = broker(|b| b.imitate_kafka_2_1().max_version(36, version));
        assert_delivers(with_password(&broker, "SCRAM-SHA-256", SECRET));
    }
}

#[test]
fn a_wrong_password_or_token_is_said_at_once_and_tried_again_with_pauses() {
    let broker = broker(|b| b);
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let why = refusal(with_password(&broker, mechanism, "hunter3"));
        assert!(why.contains(mechanism) && why.contains("SASL_AUTHENTICATION_FAILED"), "{why}");
        assert!(!why.contains("hunter"), "{why}");
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let why = refusal(builder(&broker, "OAUTHBEARER").oauth_token(move || {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(OAuthToken::new("bad.token"))
    }));
    assert!(why.contains("OAUTHBEARER") && why.contains("invalid_token") && !why.contains("bad.token"), "{why}");
    // A hot loop would have asked thousands of times before the producer was closed.
    assert!(asked.load(Ordering::SeqCst) <= 10, "{}", asked.load(Ordering::SeqCst));
    let why = refusal(builder(&broker, "OAUTHBEARER").oauth_token(|| Err("the provider is down".to_owned())));
    assert!(why.contains("the provider is down"), "{why}");
    let why = refusal(builder(&broker, "OAUTHBEARER").oauth_token(|| panic!("a bug of the application")));
    assert!(why.contains("panicked"), "{why}");
    assert!(broker.records("known", 0).is_empty());
}

#[test]
fn a_mechanism_that_the_broker_has_not_is_named_with_those_that_it_has() {
    let broker = MockBroker::builder().token("good.token").start().expect("a broker");
    let why = refusal(with_password(&broker, "SCRAM-SHA-256", SECRET));
    assert!(why.contains("UNSUPPORTED_SASL_MECHANISM") && why.contains("the broker has OAUTHBEARER"), "{why}");
    let broker = MockBroker::builder().user("me", SECRET).start().expect("a broker");
    let why = refusal(builder(&broker, "OAUTHBEARER").oauth_token(|| Ok(OAuthToken::new("good.token"))));
    assert!(why.contains("the broker has PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"), "{why}");
}

#[test]
fn a_broker_that_does_not_ask_and_a_producer_that_says_nothing_are_told_apart() {
    let open = MockBroker::builder().start().expect("a broker");
    let why = refusal(with_password(&open, "PLAIN", SECRET));
    assert!(why.contains("ILLEGAL_SASL_STATE"), "{why}");
    // And a producer that says nothing to a broker that asks: it closes, for all the producer knows, for no reason.
    let asks = broker(|b| b);
    let producer =
        Producer::builder().bootstrap_servers(asks.bootstrap()).set("max.block.ms", "1000").build().expect("built");
    let topic = producer.topic("known").expect("a name");
    let error = producer.send(Record::to(topic).value(b"x")).map_err(|e| e.kind).expect_err("closed each time");
    assert!(matches!(error, SendErrorKind::UnknownTopic { .. }), "{error}");
}

#[test]
fn a_session_is_renewed_before_it_ends_and_nothing_is_lost_meanwhile() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        // A session that is not renewed costs its connection: the mock broker closes it, as Kafka does.
        let broker = broker(|b| b.session_lifetime(Duration::from_millis(400)));
        let producer = with_password(&broker, mechanism, SECRET).set("linger.ms", "0").build().expect("a producer");
        let topic = producer.topic("known").expect("a name");
        let mut sender = producer.sender().expect("open");
        let handshakes = || broker.summary().requests("SaslHandshake");
        let mut sent = 0_usize;
        // The bootstrap connection, the leader's, and renewals.
        while handshakes() < 7 {
            sender.send(Record::to(topic).value(&sent.to_le_bytes())).expect("accepted");
            sent += 1;
            std::thread::sleep(Duration::from_millis(2));
        }
        producer.flush(LONG).expect("all delivered");
        let stored = broker.records("known", 0);
        assert_eq!(stored.len(), sent, "{mechanism}");
        let in_order = stored.iter().enumerate().all(|(i, r)| r.value.as_deref() == Some(&i.to_le_bytes()[..]));
        assert!(in_order, "{mechanism}");
        assert_eq!(broker.summary().connections, 2, "{mechanism}: none was lost");
        assert_eq!(broker.summary().malformed_requests, 0, "{mechanism}");
    }
}

#[test]
fn a_token_that_is_refused_at_renewal_fails_what_is_sent_then_with_the_reason() {
    let broker = broker(|b| b.session_lifetime(Duration::from_millis(300)));
    let tokens = Arc::new(Mutex::new("good.token"));
    let source = tokens.clone();
    let producer = builder(&broker, "OAUTHBEARER")
        .oauth_token(move || source.lock().map(|token| OAuthToken::new(*token)).map_err(|e| e.to_string()))
        .build()
        .expect("a producer");
    let topic = producer.topic("known").expect("a name");
    let mut sender = producer.sender().expect("open");
    let receipt = sender.send(Record::to(topic).value(b"x")).expect("accepted");
    producer.wait(receipt, LONG).expect("delivered");
    *tokens.lock().expect("no panic") = "stale.token";
    let failure = loop {
        let receipt = sender.send(Record::to(topic).value(b"x")).expect("accepted");
        match producer.wait(receipt, LONG) {
            Ok(_) => std::thread::sleep(Duration::from_millis(5)),
            Err(DeliveryError::Failed(failure)) => break failure,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(matches!(failure.kind, FailureKind::Authentication { .. }), "{failure}");
    assert!(!failure.to_string().contains("stale.token"), "{failure}");
    *tokens.lock().expect("no panic") = "good.token";
    loop {
        let receipt = sender.send(Record::to(topic).value(b"x")).expect("accepted");
        if producer.wait(receipt, LONG).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn settings_that_do_not_go_together_are_named_and_never_repeated() {
    let problems = |pairs: &[(&str, &str)]| {
        let base = [("bootstrap.servers", "a:1"), ("security.protocol", "SASL_PLAINTEXT")];
        let builder = ConfigBuilder::new().properties(base).properties(pairs.iter().copied());
        assert!(!format!("{builder:?}").contains("hunter2"), "{builder:?}");
        let error = builder.build().expect_err("refused");
        assert!(!format!("{error}\n{error:?}").contains("hunter2"), "{error:?}");
        error.problems().iter().map(|p| p.key.clone()).collect::<Vec<_>>()
    };
    let scram = ("sasl.mechanism", "SCRAM-SHA-256");
    let user = ("sasl.username", "me");
    let password = ("sasl.password", "hunter2");
    let jaas = |text: &'static str| ("sasl.jaas.config", text);
    assert_eq!(problems(&[]), ["sasl.mechanism"]);
    assert_eq!(problems(&[("sasl.mechanism", "GSSAPI")]), ["sasl.mechanism"]);
    assert_eq!(problems(&[scram]), ["sasl.username"]);
    assert_eq!(problems(&[scram, user]), ["sasl.password"]);
    assert_eq!(problems(&[scram, password]), ["sasl.username"]);
    let right = "x.ScramLoginModule required username=me password=hunter2;";
    assert_eq!(problems(&[scram, user, password, jaas(right)]), ["sasl.jaas.config"]);
    for wrong in [
        "x.ScramLoginModule required username=me password=hunter2",
        "x.PlainLoginModule required username=me password=hunter2;",
        "x.ScramLoginModule required username=hunter2;",
        "x.ScramLoginModule required username=me password=hunter2 tokenauth=true;",
        "hunter2",
    ] {
        assert_eq!(problems(&[scram, jaas(wrong)]), ["sasl.jaas.config"], "{wrong}");
    }
    let url = ("sasl.oauthbearer.token.endpoint.url", "https://hunter2@idp/token");
    let oauth = problems(&[("sasl.mechanism", "OAUTHBEARER"), url]);
    assert_eq!(oauth[0], "sasl.oauthbearer.token.endpoint.url");
    let plain = [("security.protocol", "PLAINTEXT"), scram, user, password];
    assert_eq!(problems(&plain), ["sasl.mechanism", "sasl.username", "sasl.password"]);
    let no_token = Producer::builder()
        .bootstrap_servers("a:1")
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "OAUTHBEARER");
    assert!(matches!(no_token.build(), Err(BuildError::NoToken)));
    let config = ConfigBuilder::new()
        .bootstrap_servers("SASL_SSL://a:1")
        .properties([("security.protocol", "SASL_SSL"), scram, jaas(right)])
        .build();
    if cfg!(feature = "tls") {
        let config = config.expect("valid");
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }
}
