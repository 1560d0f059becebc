//! A real Kafka that speaks TLS, wants to see a certificate, asks who comes, and asks again.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forebay::{OAuthToken, Producer, ProducerBuilder, Record, SendErrorKind};

use super::support::cli::{forebay, forebay_ok};
use super::support::java::{Kafka, there};
use super::support::kafka::KafkaBroker;
use super::support::node::Extra;
use super::support::tls::{Authority, Card};
use super::{PATIENCE, scratch};

const PASSWORD: &str = "correct horse";

/// A broker and what a client needs for it.
struct Fortress {
    broker: KafkaBroker,
    folder: PathBuf,
    authority: Authority,
    us: Card,
}

impl Drop for Fortress {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Fortress {
    fn start() -> Option<Self> {
        let kafka = there(Kafka::pinned())?;
        let folder = scratch("fortress");
        fs::create_dir_all(&folder).expect("a folder");
        let authority = Authority::new();
        let card = authority.card(&["127.0.0.1"]);
        let us = authority.card(&["producer"]);
        let (keys, roots) = (folder.join("broker.pem"), folder.join("ca.pem"));
        fs::write(&keys, format!("{}{}", card.key, card.certificate)).expect("written");
        fs::write(&roots, authority.pem()).expect("written");
        fs::write(folder.join("us.pem"), format!("{}{}", us.key, us.certificate)).expect("written");
        let (keys, roots) = (keys.display(), roots.display());
        let module = "org.apache.kafka.common.security";
        let properties = format!(
            "listener.security.protocol.map=CLIENT:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
connections.max.reauth.ms=1500
listener.name.client.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_alice=\"{PASSWORD}\";
listener.name.client.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.client.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.client.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";
listener.name.client.ssl.keystore.type=PEM
listener.name.client.ssl.keystore.location={keys}
listener.name.client.ssl.truststore.type=PEM
listener.name.client.ssl.truststore.location={roots}
listener.name.client.ssl.client.auth=required
"
        );
        let users = ["SCRAM-SHA-256", "SCRAM-SHA-512"].map(|scram| format!("{scram}=[name=alice,password={PASSWORD}]"));
        let broker = KafkaBroker::with(&kafka, None, &Extra { properties, users: users.to_vec() });
        Some(Self { broker, folder, authority, us })
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("UTF-8").to_owned()
    }

    /// All but who we say we are.
    fn builder(&self, mechanism: &str) -> ProducerBuilder {
        Producer::builder()
            .bootstrap_servers(self.broker.bootstrap())
            .set("security.protocol", "SASL_SSL")
            .set("sasl.mechanism", mechanism)
            .set("ssl.truststore.location", self.file("ca.pem"))
            .set("ssl.keystore.location", self.file("us.pem"))
    }

    fn refusal(builder: ProducerBuilder) -> String {
        let producer = builder.build().expect("a producer");
        let topic = producer.topic("mechanisms").expect("a topic");
        let error = producer.send(Record::to(topic).value(b"x")).map_err(|e| e.kind).expect_err("refused");
        let SendErrorKind::Authentication { reason } = error else { panic!("{error}") };
        producer.close(PATIENCE).expect("nothing was accepted");
        reason.to_string()
    }
}

/// An unsecured token, which a Kafka without a validator of its own believes.
fn token(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let claims = format!(r#"{{"sub":"alice","iat":{now},"exp":{}}}"#, now + seconds);
    format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims))
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn a_kafka_with_sasl_ssl_lets_in_who_may_and_says_why_to_who_may_not() {
    let Some(fortress) = Fortress::start() else { return };
    fortress.broker.create_topic("mechanisms", 1);
    let jaas = |password: &str| {
        format!(
            "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"alice\" password=\"{password}\";"
        )
    };
    let mut sent = 0_u64;
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] {
        let builder = fortress.builder(mechanism).set("linger.ms", "0").set("compression.type", "zstd");
        let builder = match mechanism {
            "OAUTHBEARER" => builder.oauth_token(|| Ok(OAuthToken::new(token(60)))),
            "PLAIN" => builder.set("sasl.username", "alice").set("sasl.password", PASSWORD),
            _ => builder.set("sasl.jaas.config", jaas(PASSWORD)),
        };
        let producer = builder.build().expect("a producer");
        let topic = producer.topic("mechanisms").expect("a topic");
        let mut sender = producer.sender().expect("a sender");
        // Longer than the broker believes anybody: a session that is not renewed is cut off, and says so in the numbers.
        let end = Instant::now() + Duration::from_secs(4);
        while Instant::now() < end {
            let value = format!("{mechanism} {sent}");
            sender.send(Record::to(topic).value(value.as_bytes())).expect("sent");
            sent += 1;
            thread::sleep(Duration::from_millis(10));
        }
        producer.flush(PATIENCE).expect("all delivered");
        drop(sender);
        producer.close(PATIENCE).expect("closed");
        assert_eq!(fortress.broker.end_offsets("mechanisms"), sent, "{mechanism}");
    }
    for (mechanism, password) in [("PLAIN", "wrong"), ("SCRAM-SHA-256", "wrong"), ("SCRAM-SHA-512", "wrong")] {
        let builder = fortress.builder(mechanism).set("sasl.username", "alice").set("sasl.password", password);
        let why = Fortress::refusal(builder);
        assert!(why.contains(mechanism) && why.contains("SASL_AUTHENTICATION_FAILED"), "{why}");
        assert!(!why.contains("wrong"), "{why}");
    }
    let why = Fortress::refusal(fortress.builder("OAUTHBEARER").oauth_token(|| Ok(OAuthToken::new("no.token.at-all"))));
    assert!(why.contains("OAUTHBEARER") && !why.contains("at-all"), "{why}");
    // No certificate of ours, and a stranger's.
    let nobody = |chain: Option<&Card>| {
        let builder = Producer::builder()
            .bootstrap_servers(fortress.broker.bootstrap())
            .set("security.protocol", "SASL_SSL")
            .set("sasl.mechanism", "PLAIN")
            .set("sasl.username", "alice")
            .set("sasl.password", PASSWORD)
            .set("ssl.truststore.certificates", fortress.authority.pem());
        match chain {
            None => builder,
            Some(card) => builder
                .set("ssl.keystore.key", card.key.clone())
                .set("ssl.keystore.certificate.chain", card.certificate.clone()),
        }
    };
    for why in [Fortress::refusal(nobody(None)), Fortress::refusal(nobody(Some(&Authority::new().card(&["producer"]))))]
    {
        assert!(why.contains("alert"), "{why}");
    }
    let known = nobody(Some(&fortress.us)).build().expect("a producer");
    let topic = known.topic("mechanisms").expect("a topic");
    known.send(Record::to(topic).value(b"last")).expect("sent");
    known.close(PATIENCE).expect("delivered");
    assert_eq!(fortress.broker.end_offsets("mechanisms"), sent + 1);
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn the_command_line_alone_reaches_a_kafka_with_sasl_ssl_and_zstd() {
    let Some(fortress) = Fortress::start() else { return };
    let server = fortress.broker.bootstrap();
    fortress.broker.create_topic("lines", 1);
    let properties = [
        "security.protocol=SASL_SSL".to_owned(),
        "sasl.mechanism=SCRAM-SHA-512".to_owned(),
        "sasl.username=alice".to_owned(),
        "compression.type=zstd".to_owned(),
        format!("ssl.truststore.location={}", fortress.file("ca.pem")),
        format!("ssl.keystore.location={}", fortress.file("us.pem")),
    ];
    let with = |arguments: &[&str], password: &str| -> Vec<String> {
        let mut all: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        for property in properties.iter().cloned().chain([format!("sasl.password={password}")]) {
            all.extend(["-X".to_owned(), property]);
        }
        all
    };
    let lines: Vec<String> = (0..10_000).map(|number| format!("line {number}")).collect();
    let produce = ["produce", "--topic", "lines", "--bootstrap-server", &server, "-"];
    forebay_ok(&with(&produce, PASSWORD), (lines.join("\n") + "\n").as_bytes());
    let read = fortress.broker.consume_java("lines");
    let values: Vec<_> =
        read.iter().map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap_or_default()).into_owned()).collect();
    assert!(values == lines, "what Java reads is what was written");
    let refused = forebay(&with(&produce, "a-wrong-password"), b"x\n");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("SASL_AUTHENTICATION_FAILED"), "{said}");
    assert!(!said.contains("a-wrong-password"), "{said}");
    fortress.broker.create_topic("perf", 4);
    let perf =
        ["perf", "--bootstrap-server", &server, "--topic", "perf", "--num-records", "200000", "--record-size", "100"];
    forebay_ok(&with(&perf, PASSWORD), b"");
    assert_eq!(fortress.broker.end_offsets("perf"), 200_000);
}
