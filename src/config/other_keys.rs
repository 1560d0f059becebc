//! The rows of Kafka's other producer keys: checked and without effect, limited to some values, or refused with the reason.

use super::key::{KeySpec, Kind, Origin, Standing};

const fn row(
    group: &'static str,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    standing: Standing,
) -> KeySpec {
    KeySpec { name, group, kind, default, doc: "", interacts: "", origin: Origin::Kafka, standing, apply: None }
}

const LONG: i64 = i64::MAX;
const INT: i64 = i32::MAX as i64;

const TRANSACTIONS: &str = "Transactions";
const PARTITION: &str = "Partitioning (other keys)";
const CLUSTER: &str = "Cluster (other keys)";
const PLUG_INS: &str = "Serialisation, plug-ins, metrics";
const TLS: &str = "TLS (other keys)";
const SASL: &str = "SASL (other keys)";

const LEVEL: Standing =
    Standing::Accepted("No effect: every figure is kept at any level; none is counted for a single record.");
const JAVA_TLS: Standing =
    Standing::Accepted("No effect: it chooses among Java's own parts, and TLS is rustls's here.");
const NO_SASL: Standing = Standing::Accepted(
    "No effect: it is for Kerberos, or for ways in which Java gets, renews and checks tokens. Here a token is fetched anew once 80 % of its lifetime is over.",
);
const ASSERTIONS: Standing = Standing::Refused(
    "assertions (RFC 7523) are not made. Use the client's id and secret (sasl.oauthbearer.client.credentials.client.id), give the builder a token source, or have another program write sasl.oauthbearer.token.endpoint.url=file:///path",
);
const AS_BYTES: Standing = Standing::Only(
    &[
        "org.apache.kafka.common.serialization.ByteArraySerializer",
        "org.apache.kafka.common.serialization.ByteBufferSerializer",
        "org.apache.kafka.common.serialization.BytesSerializer",
        "org.apache.kafka.common.serialization.StringSerializer",
    ],
    "keys and values are bytes here, and text is its UTF-8 bytes. Serialise before the send and remove this setting",
);

const fn tls(name: &'static str, kind: Kind, default: &'static str) -> KeySpec {
    row(TLS, name, kind, default, JAVA_TLS)
}

const fn sasl(name: &'static str, kind: Kind, default: &'static str) -> KeySpec {
    row(SASL, name, kind, default, NO_SASL)
}

// A row reads as a row of a table, not one argument a line.
#[rustfmt::skip]
pub(super) const OTHER: &[KeySpec] = &[
    row(TRANSACTIONS, "transactional.id", Kind::Text, "",
        Standing::Refused("this version has no transactions. Remove it: enable.idempotence=true gives exactly-once to each partition without them")),
    row(TRANSACTIONS, "transaction.timeout.ms", Kind::Millis(0, INT), "60000",
        Standing::Accepted("No effect without `transactional.id`, as in Kafka.")),
    row(TRANSACTIONS, "transaction.two.phase.commit.enable", Kind::Bool, "false",
        Standing::Only(&["false"], "this version has no transactions. Use false")),
    row(PARTITION, "partitioner.class", Kind::Class, "",
        Standing::Refused("Java classes cannot be loaded. Remove it, and give the builder a partitioner or each record its partition")),
    row(CLUSTER, "client.dns.lookup", Kind::Choice(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"]), "use_all_dns_ips",
        Standing::Only(&["use_all_dns_ips"], "host names are used as they are written. Use use_all_dns_ips")),
    row(PLUG_INS, "key.serializer", Kind::Class, "", AS_BYTES),
    row(PLUG_INS, "value.serializer", Kind::Class, "", AS_BYTES),
    row(PLUG_INS, "config.providers", Kind::List, "",
        Standing::Refused("Java classes cannot be loaded. Remove it, and put the values in yourself or set them from the environment")),
    row(PLUG_INS, "interceptor.classes", Kind::List, "",
        Standing::Refused("Java classes cannot be loaded. Remove it, and give the builder interceptors (ProducerBuilder::interceptor)")),
    row(PLUG_INS, "metric.reporters", Kind::List, "org.apache.kafka.common.metrics.JmxReporter",
        Standing::Refused("Java classes cannot be loaded. Remove it, and read Producer::metrics, or turn on the Cargo feature `metrics`")),
    row(PLUG_INS, "enable.metrics.push", Kind::Bool, "true",
        Standing::Only(&["false"], "this version pushes no metrics to the broker. Use false")),
    row(PLUG_INS, "metrics.recording.level", Kind::Choice(&["INFO", "DEBUG", "TRACE"]), "INFO", LEVEL),
    row(TLS, "security.providers", Kind::Text, "", Standing::Refused("Java classes cannot be loaded. Remove it")),
    row(TLS, "ssl.cipher.suites", Kind::List, "",
        Standing::Refused("the cipher suites are rustls's, all of them safe. Remove it, and choose versions by ssl.enabled.protocols")),
    row(TLS, "ssl.engine.factory.class", Kind::Class, "", Standing::Refused("Java classes cannot be loaded. Remove it")),
    tls("ssl.keymanager.algorithm", Kind::Text, "SunX509"),
    tls("ssl.protocol", Kind::Text, "TLSv1.3"),
    tls("ssl.provider", Kind::Text, ""),
    tls("ssl.secure.random.implementation", Kind::Text, ""),
    tls("ssl.trustmanager.algorithm", Kind::Text, "PKIX"),
    row(SASL, "sasl.client.callback.handler.class", Kind::Class, "",
        Standing::Refused("Java classes cannot be loaded. Remove it, and give the builder a token source if that is what it was for")),
    sasl("sasl.kerberos.kinit.cmd", Kind::Text, "/usr/bin/kinit"),
    sasl("sasl.kerberos.min.time.before.relogin", Kind::Millis(0, LONG), "60000"),
    sasl("sasl.kerberos.service.name", Kind::Text, ""),
    sasl("sasl.kerberos.ticket.renew.jitter", Kind::Double, "0.05"),
    sasl("sasl.kerberos.ticket.renew.window.factor", Kind::Double, "0.8"),
    row(SASL, "sasl.login.callback.handler.class", Kind::Class, "",
        Standing::Refused("Java classes cannot be loaded. Remove it, and give the builder a token source if that is what it was for")),
    row(SASL, "sasl.login.class", Kind::Class, "",
        Standing::Refused("Java classes cannot be loaded. Remove it, and give the builder a token source if that is what it was for")),
    sasl("sasl.login.refresh.buffer.seconds", Kind::Int(0, 3_600), "300"),
    sasl("sasl.login.refresh.min.period.seconds", Kind::Int(0, 900), "60"),
    sasl("sasl.login.refresh.window.factor", Kind::Double, "0.8"),
    sasl("sasl.login.refresh.window.jitter", Kind::Double, "0.05"),
    sasl("sasl.oauthbearer.assertion.algorithm", Kind::Choice(&["RS256", "ES256"]), "RS256"),
    sasl("sasl.oauthbearer.assertion.claim.aud", Kind::Text, ""),
    sasl("sasl.oauthbearer.assertion.claim.exp.seconds", Kind::Int(0, 86_400), "300"),
    sasl("sasl.oauthbearer.assertion.claim.iss", Kind::Text, ""),
    sasl("sasl.oauthbearer.assertion.claim.jti.include", Kind::Bool, "false"),
    sasl("sasl.oauthbearer.assertion.claim.nbf.seconds", Kind::Int(0, 3_600), "60"),
    sasl("sasl.oauthbearer.assertion.claim.sub", Kind::Text, ""),
    row(SASL, "sasl.oauthbearer.assertion.file", Kind::Text, "",
        ASSERTIONS),
    row(SASL, "sasl.oauthbearer.assertion.private.key.file", Kind::Text, "",
        ASSERTIONS),
    row(SASL, "sasl.oauthbearer.assertion.private.key.passphrase", Kind::Password, "",
        ASSERTIONS),
    sasl("sasl.oauthbearer.assertion.template.file", Kind::Text, ""),
    sasl("sasl.oauthbearer.clock.skew.seconds", Kind::Int(0, INT), "30"),
    sasl("sasl.oauthbearer.expected.audience", Kind::List, ""),
    sasl("sasl.oauthbearer.expected.issuer", Kind::Text, ""),
    sasl("sasl.oauthbearer.jwks.endpoint.refresh.ms", Kind::Millis(0, LONG), "3600000"),
    sasl("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Kind::Millis(0, LONG), "10000"),
    sasl("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Kind::Millis(0, LONG), "100"),
    sasl("sasl.oauthbearer.jwks.endpoint.url", Kind::Text, ""),
    row(SASL, "sasl.oauthbearer.jwt.retriever.class", Kind::Class, "DefaultJwtRetriever",
        Standing::Refused("Java classes cannot be loaded. Remove it, and give the builder a token source if that is what it was for")),
    row(SASL, "sasl.oauthbearer.jwt.validator.class", Kind::Class, "DefaultJwtValidator",
        Standing::Refused("Java classes cannot be loaded. Remove it, and give the builder a token source if that is what it was for")),
    sasl("sasl.oauthbearer.scope.claim.name", Kind::Text, "scope"),
    sasl("sasl.oauthbearer.sub.claim.name", Kind::Text, "sub"),
];
