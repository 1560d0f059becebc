//! OAUTHBEARER with tokens from an HTTP endpoint: one that is well, one that is not, and one that means ill.
#![cfg(feature = "oauth-http")]

#[path = "support/issuer.rs"]
mod issuer;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/watch.rs"]
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay::config::ConfigBuilder;
use forebay::{BuildError, Producer, ProducerBuilder, Record, SendErrorKind};
use forebay_mock_broker::MockBroker;
use issuer::{Issuer, Reply, json};
use tls::{Authority, Frame};

const LONG: Duration = Duration::from_secs(30);
const SECRET: &str = "correct-horse:battery/staple";
const TOKEN: &str = "eyJhbGciOiJub25lIn0.correct-token";
const URL: &str = "sasl.oauthbearer.token.endpoint.url";
const ID: &str = "sasl.oauthbearer.client.credentials.client.id";
const CLIENT_SECRET: &str = "sasl.oauthbearer.client.credentials.client.secret";

fn good() -> Reply {
    json(200, &format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer","expires_in":3600}}"#))
}

fn broker() -> MockBroker {
    watch::begin();
    MockBroker::builder().token(TOKEN).start().expect("a broker")
}

fn without_client(broker: &MockBroker, url: &str) -> ProducerBuilder {
    Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "OAUTHBEARER")
        .set(URL, url)
        .set("sasl.login.retry.backoff.ms", "10")
        .set("sasl.login.retry.backoff.max.ms", "1000")
}

fn builder(broker: &MockBroker, url: &str) -> ProducerBuilder {
    without_client(broker, url).set(ID, "me").set(CLIENT_SECRET, SECRET)
}

#[track_caller]
fn assert_delivers(builder: ProducerBuilder) {
    let producer = builder.build().expect("a producer");
    let topic = producer.topic("known").expect("a name");
    let receipt = producer.send(Record::to(topic).value(b"from me")).expect("accepted");
    producer.wait(receipt, LONG).expect("delivered");
    producer.close(LONG).expect("closed");
}

/// Why nothing can be sent. It shows no secret.
#[track_caller]
fn refusal(builder: ProducerBuilder) -> Arc<str> {
    let producer = builder.build().expect("a producer");
    let topic = producer.topic("known").expect("a name");
    let error = producer.send(Record::to(topic).value(b"x")).map_err(|e| e.kind).expect_err("refused");
    let SendErrorKind::Authentication { reason } = error else { panic!("{error}") };
    producer.close(LONG).expect("nothing was accepted");
    assert!(!reason.contains("horse") && !reason.contains("correct-token"), "{reason}");
    reason
}

#[test]
fn a_token_is_asked_for_once_and_serves_all_connections() {
    let broker = broker();
    let issuer = Issuer::new([good()]);
    assert_delivers(builder(&broker, &issuer.url()).set("sasl.oauthbearer.scope", "kafka write+all"));
    assert_eq!(broker.summary().connections, 2, "the bootstrap connection and the leader's");
    let asked = issuer.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let basic = format!("authorization: Basic {}", STANDARD.encode(format!("me:{SECRET}")));
    let lines: Vec<&str> = asked[0].lines().collect();
    assert_eq!(lines[0], "POST /token HTTP/1.1");
    assert!(lines.iter().any(|line| line.eq_ignore_ascii_case(&basic)), "{lines:?}");
    assert!(asked[0].ends_with("\r\n\r\ngrant_type=client_credentials&scope=kafka+write%2Ball"), "{lines:?}");
    // As Java's own properties say it, and encoded as the RFC wants.
    let issuer = Issuer::new([good()]);
    let jaas = format!(
        "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId=\"me\" clientSecret='{SECRET}' \
         scope=write extension_logicalCluster=lkc;"
    );
    let java = without_client(&broker, &issuer.url()).set("sasl.jaas.config", jaas);
    assert_delivers(java.set("sasl.oauthbearer.header.urlencode", "true"));
    let basic = STANDARD.encode("me:correct-horse%3Abattery%2Fstaple");
    assert!(issuer.asked()[0].contains(&basic) && issuer.asked()[0].ends_with("&scope=write"), "{:?}", issuer.asked());
    watch::assert_silent(&[SECRET, TOKEN, &basic]);
}

#[test]
fn an_endpoint_that_fails_is_asked_again_with_pauses() {
    let broker = broker();
    let issuer = Issuer::new([json(503, "{}"), Reply::Close, json(429, "{}"), good()]);
    assert_delivers(builder(&broker, &issuer.url()));
    assert_eq!(issuer.asked().len(), 4);
    watch::assert_silent(&[SECRET, TOKEN]);
}

#[test]
fn a_refusal_is_said_at_once_with_the_endpoints_reason() {
    let broker = broker();
    let words = format!(r#"{{"error":"invalid_client","error_description":"not {SECRET}"}}"#);
    let issuer = Issuer::new([json(401, &words)]);
    let why = refusal(builder(&broker, &issuer.url()));
    assert!(why.contains("127.0.0.1") && why.contains("HTTP 401: invalid_client"), "{why}");
    assert!(!why.contains("/token"), "no more of the URL than its host: {why}");
    watch::assert_silent(&[SECRET, TOKEN]);
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    watch::begin();
    let broker =
        MockBroker::builder().token(TOKEN).session_lifetime(Duration::from_millis(300)).start().expect("a broker");
    let short = || json(200, &format!(r#"{{"access_token":"{TOKEN}","expires_in":"1"}}"#));
    let issuer = Issuer::new([short()]);
    let producer = builder(&broker, &issuer.url()).set("linger.ms", "0").build().expect("a producer");
    let topic = producer.topic("known").expect("a name");
    while issuer.asked().len() < 3 {
        let receipt = producer.send(Record::to(topic).value(b"x")).expect("accepted");
        producer.wait(receipt, LONG).expect("delivered");
        std::thread::sleep(Duration::from_millis(5));
    }
    producer.close(LONG).expect("closed");
    let handshakes = broker.summary().requests("SaslHandshake");
    assert!(handshakes > issuer.asked().len() as u64, "{handshakes}: a token serves several authentications");
}

/// The endpoint is gone when the token is to be renewed: the one that is there serves until its own end.
#[test]
fn a_token_that_is_still_good_serves_while_no_new_one_can_be_had() {
    watch::begin();
    let lifetime = Duration::from_millis(200);
    let broker = MockBroker::builder().token(TOKEN).session_lifetime(lifetime).start().expect("a broker");
    // From 4 s on a new one is asked for, once and in vain; this one ends at 5 s, and then another is there at the second attempt.
    let token = format!(r#"{{"access_token":"{TOKEN}","expires_in":"5"}}"#);
    let issuer = Issuer::new([json(200, &token), json(503, "{}"), json(503, "{}"), good()]);
    let builder = builder(&broker, &issuer.url()).set("sasl.login.retry.backoff.max.ms", "3600000");
    let producer = builder.set("linger.ms", "0").build().expect("a producer");
    let topic = producer.topic("known").expect("a name");
    let begun = Instant::now();
    while issuer.asked().len() < 4 {
        assert!(begun.elapsed() < LONG, "{:?}: a token that has ended is no reason not to ask", issuer.asked());
        let receipt = producer.send(Record::to(topic).value(b"x")).expect("accepted");
        producer.wait(receipt, LONG).expect("delivered");
        std::thread::sleep(Duration::from_millis(5));
    }
    producer.close(LONG).expect("closed");
}

#[test]
fn hostile_answers_fail_with_a_reason_and_without_end_of_memory_or_time() {
    let broker = broker();
    let elsewhere = Issuer::new([good()]);
    for (reply, part) in [
        (Reply::Endless("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"), "too long"),
        (Reply::Endless("HTTP/1.1 200 OK\r\nx: "), "not HTTP"),
        (Reply::Bytes("SSH-2.0-OpenSSH_9\r\n\r\n".into()), "not HTTP"),
        (Reply::Bytes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".into()), "not HTTP"),
        (Reply::Silence, "no answer in time"),
        (json(200, "[[["), "no JSON"),
        (json(200, r#"{"access_token":"a\r\nb"}"#), "characters that no token has"),
        (
            Reply::Bytes(format!("HTTP/1.1 307 X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url())),
            "elsewhere",
        ),
    ] {
        let patience = if matches!(reply, Reply::Silence) { "200" } else { "10000" };
        let issuer = Issuer::new([reply]);
        let builder = builder(&broker, &issuer.url()).set("sasl.login.read.timeout.ms", patience);
        let why = refusal(builder.set("sasl.login.retry.backoff.max.ms", "30"));
        assert!(why.contains(part), "{part:?} is not in {why}");
    }
    assert!(elsewhere.asked().is_empty(), "the client's secret goes to nobody else");
    watch::assert_silent(&[SECRET, TOKEN]);
}

#[test]
fn an_endpoint_is_believed_by_its_certificate_alone() {
    let broker = broker();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let issuer = Issuer::new([good()]);
    let open = |names: &[&str], by: &Authority| Frame::new().open(&by.card(names), None, issuer.address());
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("idp-{}.pem", std::process::id()));
    std::fs::write(&file, authority.pem()).expect("a file");
    let with = |door: &tls::Door| {
        let url = format!("https://{}/token", door.at("localhost"));
        builder(&broker, &url).set("https.ca.location", file.to_str().expect("UTF-8"))
    };
    assert_delivers(with(&open(&["localhost"], &authority)));
    let before = issuer.asked().len();
    let why = refusal(with(&open(&["localhost"], &stranger)));
    assert!(why.contains("UnknownIssuer"), "{why}");
    let why = refusal(with(&open(&["idp.example"], &authority)));
    assert!(why.contains("not valid for name"), "{why}");
    assert_eq!(issuer.asked().len(), before, "the secret went to neither");
    std::fs::remove_file(&file).expect("the file can go");
    let gone = builder(&broker, "https://localhost:1/token").set("https.ca.location", "/nowhere/ca.pem").build();
    match gone {
        Err(BuildError::TokenEndpoint(why)) => assert!(why.contains("/nowhere/ca.pem"), "{why}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("built"),
    }
    watch::assert_silent(&[SECRET, TOKEN]);
}

#[test]
fn settings_that_do_not_go_together_are_named_and_never_repeated() {
    let problems = |pairs: &[(&str, &str)]| {
        let base =
            [("bootstrap.servers", "a:1"), ("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "OAUTHBEARER")];
        let builder = ConfigBuilder::new().properties(base).properties(pairs.iter().copied());
        assert!(!format!("{builder:?}").contains("hunter2"), "{builder:?}");
        let error = builder.build().expect_err("refused");
        assert!(!format!("{error}\n{error:?}").contains("hunter2"), "{error:?}");
        error.problems().iter().map(|p| p.key.clone()).collect::<Vec<_>>()
    };
    let (url, id, secret) = ((URL, "https://idp.example/token"), (ID, "me"), (CLIENT_SECRET, "hunter2"));
    assert_eq!(problems(&[url]), [ID, CLIENT_SECRET]);
    assert_eq!(problems(&[url, id]), [CLIENT_SECRET]);
    assert_eq!(problems(&[(URL, "https://me:hunter2@idp/token"), id, secret]), [URL]);
    assert_eq!(problems(&[(URL, "ftp://hunter2/token"), id, secret]), [URL, ID, CLIENT_SECRET]);
    assert_eq!(problems(&[(URL, "file:///run/token"), secret]), [CLIENT_SECRET]);
    assert_eq!(problems(&[("security.protocol", "PLAINTEXT"), secret]), ["sasl.mechanism", CLIENT_SECRET]);
    let backoff = [url, id, secret, ("sasl.login.retry.backoff.ms", "20000")];
    assert_eq!(problems(&backoff), ["sasl.login.retry.backoff.ms"]);
    let unknown = ("sasl.jaas.config", "x.OAuthBearerLoginModule required clientId=me sub=hunter2;");
    assert_eq!(problems(&[url, unknown, secret]), ["sasl.jaas.config"]);
    let error = ConfigBuilder::new().set("sasl.oauthbearer.client.secret", "hunter2").build().expect_err("unknown");
    assert!(error.to_string().contains(CLIENT_SECRET) && !error.to_string().contains("hunter2"), "{error}");
}
