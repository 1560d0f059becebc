//! Names that other clients have for what is called otherwise here, or is not there: librdkafka's, and Java's of old.

/// A key of another client.
pub(super) struct Foreign {
    pub(super) name: &'static str,
    /// Whose it is.
    whose: &'static str,
    /// The key that does it here, if there is one.
    pub(super) meant: Option<&'static str>,
    /// What differs, or why there is none.
    note: &'static str,
}

impl Foreign {
    /// What to say to somebody who sets it.
    pub(super) fn advice(&self) -> String {
        let Self { whose, note, .. } = self;
        match self.meant {
            Some(meant) if note.is_empty() => format!("no such key. {whose} name for {meant}"),
            Some(meant) => format!("no such key. {whose}; here it is {meant}: {note}"),
            None => format!("no such key. {whose}: {note}"),
        }
    }
}

/// The row of another client's key.
pub(super) fn find(name: &str) -> Option<&'static Foreign> {
    FOREIGN.iter().find(|foreign| foreign.name == name)
}

const RD: &str = "librdkafka's";
const OLD: &str = "An old Kafka's";
const OTHERS: &str = "A consumer's";

const fn is(name: &'static str, whose: &'static str, meant: &'static str, note: &'static str) -> Foreign {
    Foreign { name, whose, meant: Some(meant), note }
}

const fn no(name: &'static str, whose: &'static str, note: &'static str) -> Foreign {
    Foreign { name, whose, meant: None, note }
}

const CONSUMER: &str = "this library only produces. Remove it";
const LOGS: &str = "what happens is said by `tracing`; filter there. Remove it";
const CODE: &str =
    "callbacks are given to the builder in code (`on_delivery`, `oauth_token`, `partitioner`). Remove it";
const VERSIONS: &str = "each broker is asked for its versions, always. Remove it";
const PEM: &str = "one PEM file holds the key and its certificates, one after the other";

#[rustfmt::skip]
const FOREIGN: &[Foreign] = &[
    is("metadata.broker.list", RD, "bootstrap.servers", ""),
    is("queue.buffering.max.ms", RD, "linger.ms", ""),
    is("queue.buffering.max.kbytes", RD, "buffer.memory", "in bytes, and all of it is taken at start"),
    is("queue.buffering.max.messages", RD, "buffer.memory", "memory is bounded in bytes, not in records"),
    is("queue.buffering.backpressure.threshold", RD, "max.in.flight.requests.per.connection", "batches are cut when a request can be sent"),
    is("message.timeout.ms", RD, "delivery.timeout.ms", "0 does not mean for ever; the most is 2147483647"),
    is("message.max.bytes", RD, "max.request.size", "with batch.max.bytes, the most of one batch"),
    is("message.send.max.retries", RD, "retries", ""),
    is("max.in.flight", RD, "max.in.flight.requests.per.connection", ""),
    is("request.required.acks", RD, "acks", ""),
    is("compression.codec", RD, "compression.type", ""),
    is("compression.level", RD, "compression.zstd.level", "each codec has a level of its own"),
    is("batch.num.messages", RD, "batch.size", "batches are bounded in bytes, and by 8192 records"),
    is("socket.send.buffer.bytes", RD, "send.buffer.bytes", "-1, not 0, leaves it to the system"),
    is("socket.receive.buffer.bytes", RD, "receive.buffer.bytes", "-1, not 0, leaves it to the system"),
    is("socket.timeout.ms", RD, "request.timeout.ms", ""),
    is("socket.connection.setup.timeout", RD, "socket.connection.setup.timeout.ms", ""),
    is("reconnect.backoff.jitter.ms", RD, "reconnect.backoff.ms", "the jitter is 20 %"),
    is("topic.metadata.refresh.interval.ms", RD, "metadata.max.age.ms", "-1 does not turn it off"),
    is("topic.metadata.refresh.fast.interval.ms", RD, "retry.backoff.ms", ""),
    is("topic.metadata.propagation.max.ms", RD, "max.block.ms", "that is how long a send waits for a new topic"),
    is("ssl.ca.location", RD, "ssl.truststore.location", "a PEM file"),
    is("ssl.ca.pem", RD, "ssl.truststore.certificates", ""),
    is("ssl.certificate.location", RD, "ssl.keystore.location", PEM),
    is("ssl.certificate.pem", RD, "ssl.keystore.certificate.chain", ""),
    is("ssl.key.location", RD, "ssl.keystore.location", PEM),
    is("ssl.key.pem", RD, "ssl.keystore.key", ""),
    is("sasl.mechanisms", RD, "sasl.mechanism", ""),
    is("sasl.oauthbearer.config", RD, "sasl.oauthbearer.token.endpoint.url", "a file or an endpoint, or give the builder a token source"),
    is("sasl.oauthbearer.method", RD, "sasl.oauthbearer.token.endpoint.url", "with an https: URL it is what oidc is there"),
    is("sasl.oauthbearer.client.id", RD, "sasl.oauthbearer.client.credentials.client.id", ""),
    is("sasl.oauthbearer.client.secret", RD, "sasl.oauthbearer.client.credentials.client.secret", ""),
    is("sasl.oauthbearer.extensions", RD, "sasl.jaas.config", "each as an option extension_NAME of OAuthBearerLoginModule"),
    is("https.ca.pem", RD, "https.ca.location", "a file"),
    is("partitioner", RD, "partitioner.ignore.keys", "records with a key go where murmur2 says, as with murmur2_random and Java; others are given to the builder in code"),
    no("sticky.partitioning.linger.ms", RD, "a partition is left after batch.size bytes (KIP-794). Remove it"),
    no("enable.ssl.certificate.verification", RD, "certificates are always verified. Name the broker's authority by ssl.truststore.location"),
    no("ssl.ca.certificate.stores", RD, "without a truststore the system's is used. Remove it"),
    no("ssl.crl.location", RD, "revocation lists are not read. Remove it"),
    no("ssl.curves.list", RD, "the curves are rustls's, all of them safe. Remove it"),
    no("ssl.sigalgs.list", RD, "the signatures are rustls's, all of them safe. Remove it"),
    no("sasl.kerberos.principal", RD, "Kerberos is not spoken. Use SCRAM, OAUTHBEARER or client certificates"),
    no("sasl.kerberos.keytab", RD, "Kerberos is not spoken. Use SCRAM, OAUTHBEARER or client certificates"),
    no("enable.sasl.oauthbearer.unsecure.jwt", RD, "for a test, make the token in a token source of the builder. Remove it"),
    no("enable.gapless.guarantee", RD, "a record that fails leaves no duplicate and no disorder; what follows it is still sent. Remove it"),
    no("queuing.strategy", RD, "records are always sent in their order. Remove it"),
    no("produce.offset.report", RD, "each outcome has its offset, always. Remove it"),
    no("delivery.report.only.error", RD, "look at `result` in the delivery callback. Remove it"),
    no("message.copy.max.bytes", RD, "a record is copied once, into the buffer, or never with `reserve`. Remove it"),
    no("receive.message.max.bytes", RD, "answers to a producer are small, and larger ones are refused. Remove it"),
    no("topic.metadata.refresh.sparse", RD, "only topics in use are asked for, always. Remove it"),
    no("broker.address.family", RD, "all of a name's addresses are tried in turn. Remove it"),
    no("broker.address.ttl", RD, "a name is looked up for each connection. Remove it"),
    no("socket.nagle.disable", RD, "it is always disabled. Remove it"),
    no("socket.keepalive.enable", RD, "it is always on, and requests have time-outs. Remove it"),
    no("socket.max.fails", RD, "one failed request ends its connection. Remove it"),
    no("client.rack", RD, "a producer sends to leaders, wherever they are. Remove it"),
    no("api.version.request", RD, VERSIONS),
    no("api.version.request.timeout.ms", RD, VERSIONS),
    no("api.version.fallback.ms", RD, VERSIONS),
    no("broker.version.fallback", RD, VERSIONS),
    no("debug", RD, LOGS),
    no("log_level", RD, LOGS),
    no("log.queue", RD, LOGS),
    no("log.thread.name", RD, LOGS),
    no("log.connection.close", RD, LOGS),
    no("plugin.library.paths", RD, "no libraries are loaded. Remove it"),
    no("enable.random.seed", RD, "nothing is seeded by hand. Remove it"),
    no("dr_cb", RD, CODE),
    no("dr_msg_cb", RD, CODE),
    no("error_cb", RD, LOGS),
    no("log_cb", RD, LOGS),
    no("partitioner_cb", RD, CODE),
    no("opaque", RD, CODE),
    is("block.on.buffer.full", OLD, "max.block.ms", "0 refuses at once"),
    is("metadata.fetch.timeout.ms", OLD, "max.block.ms", ""),
    is("timeout.ms", OLD, "request.timeout.ms", ""),
    no("auto.include.jmx.reporter", OLD, "there is no JMX here. Remove it"),
    no("group.id", OTHERS, CONSUMER),
    no("auto.offset.reset", OTHERS, CONSUMER),
    no("enable.auto.commit", OTHERS, CONSUMER),
    no("key.deserializer", OTHERS, CONSUMER),
    no("value.deserializer", OTHERS, CONSUMER),
];

#[cfg(test)]
mod tests {
    use super::super::key;
    use super::FOREIGN;

    #[test]
    fn foreign_names_are_no_keys_and_lead_to_keys() {
        for (at, foreign) in FOREIGN.iter().enumerate() {
            assert!(key::find(foreign.name).is_none(), "{} is a key", foreign.name);
            assert!(FOREIGN[..at].iter().all(|other| other.name != foreign.name), "{} twice", foreign.name);
            match foreign.meant {
                Some(meant) => assert!(key::find(meant).is_some(), "{meant} is no key"),
                None => assert!(!foreign.note.is_empty(), "{} needs a reason", foreign.name),
            }
        }
    }

    #[test]
    fn the_advice_says_whose_it_was_and_what_to_write() {
        let advice = |name| super::find(name).expect("a row").advice();
        assert_eq!(advice("queue.buffering.max.ms"), "no such key. librdkafka's name for linger.ms");
        assert_eq!(
            advice("queue.buffering.max.kbytes"),
            "no such key. librdkafka's; here it is buffer.memory: in bytes, and all of it is taken at start"
        );
        assert_eq!(advice("group.id"), "no such key. A consumer's: this library only produces. Remove it");
    }
}
