//! `security.protocol` and the `ssl.` keys: what they hold, what they must be together, and what TLS is made of.

use super::Secret;
use super::rules::Check;
use forebay_io::driver::{Identity, TlsOptions, Trust};
use std::{fmt, fs};

/// How connections to the brokers are secured.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum SecurityProtocol {
    /// Bytes as they are, and nobody asks who we are.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without TLS: a password may be read by whoever sees the network (SCRAM's is not sent).
    SaslPlaintext,
    /// SASL within TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Whether connections speak TLS.
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether the producer says who it is by SASL.
    pub fn has_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    /// The protocol of a name that the table of keys has checked.
    pub(super) fn of_name(name: &str) -> Self {
        match name {
            "SSL" => Self::Ssl,
            "SASL_PLAINTEXT" => Self::SaslPlaintext,
            "SASL_SSL" => Self::SaslSsl,
            _ => Self::Plaintext,
        }
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        })
    }
}

/// The `ssl.` keys. Secrets are hidden in its `Debug` output.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    pub(super) truststore_type: String,
    pub(super) truststore_location: String,
    pub(super) truststore_certificates: Secret,
    pub(super) truststore_password: Secret,
    pub(super) keystore_type: String,
    pub(super) keystore_location: String,
    pub(super) keystore_key: Secret,
    pub(super) keystore_certificate_chain: Secret,
    pub(super) keystore_password: Secret,
    pub(super) key_password: Secret,
    pub(super) endpoint_identification_algorithm: String,
    pub(super) enabled_protocols: Vec<String>,
}

impl TlsSettings {
    /// Whether a broker's certificate must be for the host name that it was reached by: always, unless
    /// `ssl.endpoint.identification.algorithm` was set to nothing.
    pub fn verifies_host(&self) -> bool {
        !self.endpoint_identification_algorithm.is_empty()
    }

    fn allows(&self, version: &str) -> bool {
        self.enabled_protocols.iter().any(|allowed| allowed == version)
    }

    /// Reads the files.
    ///
    /// # Errors
    /// One that cannot be read.
    pub(crate) fn options(&self) -> Result<TlsOptions, String> {
        let pkcs12 = |name: &str| name == "PKCS12";
        let trust = if !self.truststore_certificates.is_empty() {
            Trust::Pem(lines(self.truststore_certificates.expose()))
        } else if self.truststore_location.is_empty() {
            Trust::System
        } else {
            let bytes = read("ssl.truststore.location", &self.truststore_location)?;
            if pkcs12(&self.truststore_type) {
                Trust::Pkcs12 { archive: bytes, password: self.truststore_password.expose().to_owned() }
            } else {
                Trust::Pem(bytes)
            }
        };
        let key_password = Some(&self.key_password).filter(|p| !p.is_empty()).map(|p| p.expose().to_owned());
        let identity = if !self.keystore_key.is_empty() {
            let (chain, key) = (&self.keystore_certificate_chain, &self.keystore_key);
            let (chain, key) = (lines(chain.expose()), lines(key.expose()));
            Some(Identity::Pem { chain, key, password: key_password })
        } else if self.keystore_location.is_empty() {
            None
        } else {
            let bytes = read("ssl.keystore.location", &self.keystore_location)?;
            Some(if pkcs12(&self.keystore_type) {
                Identity::Pkcs12 { archive: bytes, password: self.keystore_password.expose().to_owned() }
            } else {
                Identity::Pem { chain: bytes.clone(), key: bytes, password: key_password }
            })
        };
        let (tls12, tls13) = (self.allows("TLSv1.2"), self.allows("TLSv1.3"));
        Ok(TlsOptions { trust, identity, verify_host: self.verifies_host(), tls12, tls13 })
    }
}

fn read(key: &str, path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{key} = {path:?} cannot be read: {error}"))
}

/// PEM text whose lines were joined on its way through a properties file, in lines again. Base64 knows no blanks, so those
/// between the markers can go.
fn lines(text: &str) -> Vec<u8> {
    const MARK: &str = "-----";
    if text.trim().contains('\n') {
        return text.as_bytes().to_vec();
    }
    let mut out = String::new();
    // "", "BEGIN X", body, "END X", between, "BEGIN Y", …
    for (number, piece) in text.split(MARK).enumerate() {
        if number % 2 == 1 {
            out.extend([MARK, piece.trim(), MARK, "\n"]);
        } else {
            let body: String = piece.split_whitespace().collect();
            if !body.is_empty() {
                out.extend([&body, "\n"]);
            }
        }
    }
    out.into_bytes()
}

impl Check<'_> {
    /// What the keys of TLS must be together.
    pub(super) fn tls(&mut self) {
        let protocol = self.settings.security_protocol;
        if protocol.has_tls() && !cfg!(feature = "tls") {
            self.problem("security.protocol", "this build has no TLS: turn on the Cargo feature `tls`".to_owned());
        }
        if !protocol.has_tls() {
            for key in [
                "ssl.truststore.location",
                "ssl.truststore.certificates",
                "ssl.keystore.location",
                "ssl.keystore.key",
                "ssl.keystore.certificate.chain",
            ] {
                if self.holds(key) {
                    let message = format!(
                        "has no effect with security.protocol={protocol}: set that to SSL or SASL_SSL, or remove this"
                    );
                    self.secret_problem(key, message);
                }
            }
        }
        for (key, other) in [
            ("ssl.truststore.certificates", "ssl.truststore.location"),
            ("ssl.keystore.key", "ssl.keystore.location"),
            ("ssl.keystore.certificate.chain", "ssl.keystore.location"),
        ] {
            if self.holds(key) && self.holds(other) {
                self.secret_problem(key, format!("cannot be set together with {other}"));
            }
        }
        match (self.holds("ssl.keystore.key"), self.holds("ssl.keystore.certificate.chain")) {
            (true, false) => {
                self.secret_problem("ssl.keystore.key", "needs ssl.keystore.certificate.chain as well".to_owned());
            }
            (false, true) => {
                self.secret_problem("ssl.keystore.certificate.chain", "needs ssl.keystore.key as well".to_owned());
            }
            _ => {}
        }
        let tls = &self.settings.tls;
        let stores =
            [("ssl.truststore.type", tls.truststore_type.clone()), ("ssl.keystore.type", tls.keystore_type.clone())];
        let algorithm = tls.endpoint_identification_algorithm.clone();
        let unknown =
            tls.enabled_protocols.iter().find(|name| !matches!(name.as_str(), "TLSv1.2" | "TLSv1.3")).cloned();
        let none = tls.enabled_protocols.is_empty();
        for (key, kind) in stores {
            if kind == "JKS" {
                let message = "Java's own format is not read. Convert the store: keytool -importkeystore -srckeystore OLD \
                               -destkeystore NEW -deststoretype PKCS12, or use PEM";
                self.problem(key, message.to_owned());
            } else if kind == "PKCS12" && !cfg!(feature = "pkcs12") {
                self.problem(
                    key,
                    "this build reads no PKCS#12: turn on the Cargo feature `pkcs12`, or use PEM".to_owned(),
                );
            }
        }
        if !algorithm.is_empty() && algorithm != "https" {
            let message = "must be https, or empty to believe a certificate whatever host name it is for".to_owned();
            self.problem("ssl.endpoint.identification.algorithm", message);
        }
        if let Some(unknown) = unknown {
            self.problem("ssl.enabled.protocols", format!("{unknown:?} is not spoken: write TLSv1.2, TLSv1.3 or both"));
        } else if none {
            self.problem("ssl.enabled.protocols", "must name TLSv1.2, TLSv1.3 or both".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn joined_lines_of_pem_are_separated_again() {
        let joined = "-----BEGIN CERTIFICATE----- QUJD REVG -----END CERTIFICATE----- -----BEGIN CERTIFICATE-----R0hJ-----END CERTIFICATE-----";
        let text = "-----BEGIN CERTIFICATE-----\nQUJDREVG\n-----END CERTIFICATE-----\n\
                    -----BEGIN CERTIFICATE-----\nR0hJ\n-----END CERTIFICATE-----\n";
        assert_eq!(lines(joined), text.as_bytes());
        assert_eq!(lines(text), text.as_bytes());
        assert_eq!(lines(""), b"");
    }
}
