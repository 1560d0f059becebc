//! The rows of the keys that secure connections.

use super::key::{KeySpec, Kind, Origin, Value};
use super::used_keys::{of, row};
use super::{Secret, SecurityProtocol};

const TLS: &str = "TLS";
const SASL: &str = "SASL";

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
    row(SASL, "sasl.oauthbearer.token.endpoint.url", Kind::Password, "", |s, v| s.sasl.token_url = secret(v),
        "Where the token for OAUTHBEARER is: a file, as `file:///path/to/token`, read anew for each authentication. HTTP is refused. Never repeated, as a URL may hold a password.",
        "A token source that the builder was given goes first."),
];
