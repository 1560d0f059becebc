//! Nothing that is secret shows: neither in what is logged, at any level, nor in errors, nor in `Debug` output.
#![cfg(feature = "tls")]

#[path = "support/tls.rs"]
mod tls;
#[path = "support/watch.rs"]
mod watch;

use std::fmt::Write as _;
use std::time::Duration;

use forebay::{OAuthToken, Producer, Record};
use forebay_mock_broker::MockBroker;
use tls::{Authority, Frame};

const LONG: Duration = Duration::from_secs(30);
const PASSWORD: &str = "correct-horse-battery";
const WRONG: &str = "staple-wrong-password";
const TOKEN: &str = "eyJhbGciOiJub25lIn0.token";

#[test]
fn no_log_error_or_debug_output_shows_a_secret() {
    watch::begin();
    let authority = Authority::new();
    let us = authority.card(&["producer"]);
    let frame = Frame::new();
    let broker = MockBroker::builder()
        .advertise("localhost", frame.port())
        .user("me", PASSWORD)
        .token(TOKEN)
        .session_lifetime(Duration::from_millis(300))
        .start()
        .expect("a broker");
    let door = frame.open(&authority.card(&["localhost"]), Some(&authority), broker.bootstrap());
    let mut said = String::new();
    for (mechanism, secret) in [
        ("PLAIN", PASSWORD),
        ("PLAIN", WRONG),
        ("SCRAM-SHA-256", PASSWORD),
        ("SCRAM-SHA-512", WRONG),
        ("OAUTHBEARER", TOKEN),
        ("OAUTHBEARER", WRONG),
    ] {
        let mut builder = Producer::builder()
            .bootstrap_servers(door.at("localhost"))
            .set("security.protocol", "SASL_SSL")
            .set("sasl.mechanism", mechanism)
            .set("ssl.truststore.certificates", authority.pem())
            .set("ssl.keystore.key", us.key.clone())
            .set("ssl.keystore.certificate.chain", us.certificate.clone());
        builder = if mechanism == "OAUTHBEARER" {
            builder.oauth_token(move || Ok(OAuthToken::new(secret)))
        } else {
            builder.set("sasl.username", "me").set("sasl.password", secret)
        };
        let producer = builder.build().expect("a producer");
        let topic = producer.topic("t").expect("a name");
        // Long enough for a session to be renewed.
        for _ in 0..50 {
            match producer.send(Record::to(topic).value(b"x")) {
                Ok(receipt) => writeln!(said, "{:?}", producer.wait(receipt, LONG)).expect("to a string"),
                Err(error) => {
                    writeln!(said, "{error} {error:?}").expect("to a string");
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        writeln!(said, "{:?}", producer.close(LONG)).expect("to a string");
    }
    let log = watch::text();
    assert!(log.contains("authenticating anew"), "the log was kept, and sessions were renewed");
    assert!(log.contains("SASL_AUTHENTICATION_FAILED"), "and refusals were logged");
    assert!(said.contains("SASL_AUTHENTICATION_FAILED") && said.contains("Ok("), "{said}");
    let key: Vec<&str> = us.key.lines().filter(|line| !line.starts_with("-----")).collect();
    for secret in [PASSWORD, WRONG, TOKEN].iter().chain(&key) {
        for text in [&log, &said] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{line:?}");
        }
    }
}
