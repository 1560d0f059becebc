//! The rows of the keys that secure connections.

use super::key::{KeySpec, Kind, Origin, Value};
use super::used_keys::{of, row};
use super::{Secret, SecurityProtocol};

const TLS: &str = "TLS";
const SASL: &str = "SASL";

const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;

const STORES: Kind = Kind::Choice(&["PEM", "PKCS12", "JKS"]);

fn secret(value: Value) -> Secret {
    Secret::new(value.text())
}

// A row reads as a row of a table, not one argument a line.
#[rustfmt::skip]
pub(super) const SECURITY: &[KeySpec] = &[
    row(TLS, "security.protocol", Kind::Choice(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), "PLAINTEXT",
        |s, v| s.security_protocol = SecurityProtocol::of_name(&v.text()),
        "How connections to the brokers are secured: SSL is TLS, SASL says who we are.",
        "A scheme in `bootstrap.servers` must be the same."),
    row(TLS, "ssl.endpoint.identification.algorithm", Kind::Text, "https", |s, v| s.tls.endpoint_identification_algorithm = v.text(),
        "https: a broker's certificate must be for the host name that it was reached by. Set to nothing, whoever has any certificate that is believed can pose as a broker.",
        ""),
    row(TLS, "ssl.enabled.protocols", Kind::List, "TLSv1.2,TLSv1.3", |s, v| s.tls.enabled_protocols = v.list(),
        "The versions of TLS that may be spoken. There are no older ones here.",
        ""),
    row(TLS, "ssl.truststore.type", STORES, "PEM", |s, v| s.tls.truststore_type = v.text(),
        "The format of `ssl.truststore.location`: PEM or PKCS12 (a Cargo feature, `pkcs12`). JKS, which is Java's default, is refused.",
        ""),
    row(TLS, "ssl.truststore.location", Kind::Text, "", |s, v| s.tls.truststore_location = v.text(),
        "A file with the certificates that are believed. Without it and `ssl.truststore.certificates` they are the system's.",
        ""),
    row(TLS, "ssl.truststore.certificates", Kind::Password, "", |s, v| s.tls.truststore_certificates = secret(v),
        "The certificates themselves, as PEM text.",
        "Not together with `ssl.truststore.location`."),
    row(TLS, "ssl.truststore.password", Kind::Password, "", |s, v| s.tls.truststore_password = secret(v),
        "The password of a PKCS12 truststore.",
        ""),
    row(TLS, "ssl.keystore.type", STORES, "PEM", |s, v| s.tls.keystore_type = v.text(),
        "The format of `ssl.keystore.location`: PEM or PKCS12 (a Cargo feature, `pkcs12`). JKS, which is Java's default, is refused.",
        ""),
    row(TLS, "ssl.keystore.location", Kind::Text, "", |s, v| s.tls.keystore_location = v.text(),
        "A file with our private key and certificate chain, for brokers that ask for one (`ssl.client.auth`).",
        "An EC key must hold its public key, which those that Java's keytool makes do not; RSA keys are no matter."),
    row(TLS, "ssl.keystore.key", Kind::Password, "", |s, v| s.tls.keystore_key = secret(v),
        "The private key itself, as PEM text: PKCS#8, PKCS#1 or SEC1.",
        "Needs `ssl.keystore.certificate.chain`. Not together with `ssl.keystore.location`."),
    row(TLS, "ssl.keystore.certificate.chain", Kind::Password, "", |s, v| s.tls.keystore_certificate_chain = secret(v),
        "Our certificate and those that it rests on, as PEM text.",
        "Needs `ssl.keystore.key`."),
    row(TLS, "ssl.keystore.password", Kind::Password, "", |s, v| s.tls.keystore_password = secret(v),
        "The password of a PKCS12 keystore.",
        ""),
    row(TLS, "ssl.key.password", Kind::Password, "", |s, v| s.tls.key_password = secret(v),
        "The password of an encrypted PEM key (PKCS#8). Needs the Cargo feature `pkcs12`.",
        ""),
    row(SASL, "sasl.mechanism", Kind::Text, "", |s, v| s.sasl.mechanism_name = v.text(),
        "How the producer says who it is: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER. Kafka's default, GSSAPI (Kerberos), is not spoken.",
        "Needed with SASL_SSL and SASL_PLAINTEXT."),
    of(Origin::Librdkafka, row(SASL, "sasl.username", Kind::Text, "", |s, v| s.sasl.username = v.text(),
        "The user name for PLAIN and SCRAM.",
        "Or in `sasl.jaas.config`.")),
    of(Origin::Librdkafka, row(SASL, "sasl.password", Kind::Password, "", |s, v| s.sasl.password = secret(v),
        "The password for PLAIN and SCRAM.",
        "Or in `sasl.jaas.config`.")),
    row(SASL, "sasl.jaas.config", Kind::Password, "", |s, v| s.sasl.jaas_config = secret(v),
        "User name and password as the Java producer takes them: `org.apache.kafka.common.security.scram.ScramLoginModule required username=\"NAME\" password=\"PASSWORD\";`.",
        "Not together with `sasl.username`."),
    row(SASL, "sasl.oauthbearer.token.endpoint.url", Kind::Password, "", |s, v| s.sasl.oauth.url = secret(v),
        "Where the token for OAUTHBEARER comes from: a file, as `file:///path/to/token`, read anew for each authentication; or an OAuth 2.0 token endpoint, as `https://HOST/PATH`, asked with the client's credentials (a Cargo feature, `oauth-http`). Never repeated, as a URL may hold a password.",
        "A token source that the builder was given goes first."),
    row(SASL, "sasl.oauthbearer.client.credentials.client.id", Kind::Text, "", |s, v| s.sasl.oauth.client_id = v.text(),
        "The client's id, for a token endpoint.",
        "Or `clientId` in `sasl.jaas.config`."),
    row(SASL, "sasl.oauthbearer.client.credentials.client.secret", Kind::Password, "", |s, v| s.sasl.oauth.client_secret = secret(v),
        "The client's secret, for a token endpoint. Sent as HTTP Basic authentication.",
        "Or `clientSecret` in `sasl.jaas.config`."),
    row(SASL, "sasl.oauthbearer.scope", Kind::Text, "", |s, v| s.sasl.oauth.scope = v.text(),
        "The scope that is asked for, if any.",
        "Or `scope` in `sasl.jaas.config`."),
    row(SASL, "sasl.oauthbearer.header.urlencode", Kind::Bool, "false", |s, v| s.sasl.oauth.header_urlencode = v.bool(),
        "URL-encode the client's id and secret before they are sent, as RFC 6749 wants and some endpoints do not expect.",
        ""),
    of(Origin::Librdkafka, row(SASL, "https.ca.location", Kind::Text, "", |s, v| s.sasl.oauth.ca_location = v.text(),
        "A PEM file with the certificates that are believed of the token endpoint. Without it they are the system's; those of `ssl.truststore.location` are for brokers only.",
        "Or `ssl.truststore.location` in `sasl.jaas.config`.")),
    of(Origin::Forebay, row(SASL, "sasl.oauthbearer.aws.msk.region", Kind::Text, "", |s, v| s.sasl.msk_region = v.text(),
        "For Amazon MSK with IAM: the region of the cluster. Tokens are signed, not fetched, with `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` of the environment (a Cargo feature, `aws-msk-iam`).",
        "Not together with `sasl.oauthbearer.token.endpoint.url`.")),
    row(SASL, "sasl.login.connect.timeout.ms", Kind::Millis(1, INT), "10000", |s, v| s.sasl.oauth.connect_timeout = v.duration(),
        "How long the connection to the token endpoint may take to be set up. (Java sets no limit by default.)",
        ""),
    row(SASL, "sasl.login.read.timeout.ms", Kind::Millis(1, INT), "10000", |s, v| s.sasl.oauth.read_timeout = v.duration(),
        "How long the token endpoint may take to answer, and once more for the rest of its answer. (Java sets no limit by default.)",
        ""),
    row(SASL, "sasl.login.retry.backoff.ms", Kind::Millis(0, LONG), "100", |s, v| s.sasl.oauth.retry_backoff = v.duration(),
        "How long to wait before the token endpoint is asked again after it failed; doubles with each failure. A refusal (HTTP 400 to 499) is not repeated.",
        "Up to `sasl.login.retry.backoff.max.ms`."),
    row(SASL, "sasl.login.retry.backoff.max.ms", Kind::Millis(0, LONG), "10000", |s, v| s.sasl.oauth.retry_backoff_max = v.duration(),
        "The longest wait, and the time after which no further attempt is begun: the authentication then fails, unless the last token is still good, and begins anew with the next connection.",
        "At least `sasl.login.retry.backoff.ms`."),
];
