//! One question to a token endpoint.

use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use ureq::http::StatusCode;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Error};

use super::answer::{self, Token};
use super::{Refusal, unix_seconds};
use crate::config::{ClientCredentials, authority};

/// More than any endpoint says. Java's limit.
const LONGEST_ANSWER: u64 = 1_000_000;
const LONGEST_HEADERS: usize = 64 * 1_024;

pub(super) struct Request {
    agent: Agent,
    url: String,
    host: String,
    /// `Basic …`, a secret.
    authorization: String,
    body: String,
    /// What must show nowhere.
    secrets: Vec<String>,
}

impl Request {
    /// # Errors
    /// Certificates that cannot be read, or a URL that is none.
    pub(super) fn new(settings: &ClientCredentials) -> Result<Self, String> {
        let url = settings.url.expose();
        let host = authority(url).ok_or("sasl.oauthbearer.token.endpoint.url has no host")?.to_owned();
        let tls = if url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")) {
            tls(&settings.ca_location)?
        } else {
            tracing::warn!(target: "forebay::config", endpoint = host, "the client's secret goes over the network as it is: https would hide it");
            TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[])).build()
        };
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // The secret goes to whom it is meant for, and to nobody whom he names.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .max_response_header_size(LONGEST_HEADERS)
            .user_agent(concat!("forebay/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(settings.connect_timeout))
            .timeout_connect(Some(settings.connect_timeout))
            .timeout_send_request(Some(settings.read_timeout))
            .timeout_send_body(Some(settings.read_timeout))
            .timeout_recv_response(Some(settings.read_timeout))
            .timeout_recv_body(Some(settings.read_timeout))
            .build()
            .new_agent();
        let (mut id, mut secret) = (settings.client_id.clone(), settings.client_secret.expose().to_owned());
        let secrets = vec![secret.clone(), encoded(&secret)];
        if settings.header_urlencode {
            (id, secret) = (encoded(&id), encoded(&secret));
        }
        let mut body = "grant_type=client_credentials".to_owned();
        if !settings.scope.is_empty() {
            body.extend(["&scope=", &encoded(&settings.scope)]);
        }
        let authorization = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        Ok(Self { agent, url: url.to_owned(), host, authorization, body, secrets })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The status and the body of the answer.
    pub(super) fn send(&self) -> Result<(StatusCode, Vec<u8>), Refusal> {
        let answer = self
            .agent
            .post(&self.url)
            .header("Authorization", &self.authorization)
            .header("Accept", "application/json")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .send(&self.body)
            .map_err(refusal)?;
        let status = answer.status();
        let body = answer.into_body().with_config().limit(LONGEST_ANSWER).read_to_vec().map_err(refusal)?;
        Ok((status, body))
    }

    /// The token in an answer.
    pub(super) fn read(&self, status: StatusCode, body: &[u8]) -> Result<Token, Refusal> {
        answer::read(status, body, unix_seconds(), |text| {
            self.secrets.iter().any(|secret| !secret.is_empty() && text.contains(secret))
        })
    }
}

/// ureq's own texts may repeat the URL: only those that cannot are used.
fn refusal(error: Error) -> Refusal {
    match error {
        // A name or a certificate that is not believed does not turn right in seconds.
        Error::Rustls(error) => Refusal::lasting(format!("TLS: {error}")),
        Error::Io(error) => match error.source().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
            Some(cause) => Refusal::lasting(format!("TLS: {cause}")),
            None => Refusal::passing(error.to_string()),
        },
        Error::Timeout(which) => Refusal::passing(format!("no answer in time ({which})")),
        Error::HostNotFound => Refusal::passing("its name is not known (DNS)"),
        Error::ConnectionFailed => Refusal::passing("it cannot be reached"),
        Error::BodyExceedsLimit(_) => Refusal::lasting("its answer is too long to be that of a token endpoint"),
        Error::Protocol(_) | Error::LargeResponseHeader(..) => Refusal::passing("what it answers is not HTTP"),
        Error::BadUri(_) | Error::Http(_) => Refusal::lasting(
            "sasl.oauthbearer.token.endpoint.url is no URL, or the client's id cannot stand in a header",
        ),
        Error::InvalidProxyUrl => Refusal::lasting("the proxy that the environment names (HTTPS_PROXY) is no URL"),
        _ => Refusal::passing("the request failed"),
    }
}

fn tls(ca_location: &str) -> Result<TlsConfig, String> {
    let roots: Vec<Certificate<'static>> = if ca_location.is_empty() {
        let found = rustls_native_certs::load_native_certs();
        found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
    } else {
        let text = std::fs::read(ca_location)
            .map_err(|error| format!("https.ca.location = {ca_location:?} cannot be read: {error}"))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let found = found.map_err(|error| format!("https.ca.location = {ca_location:?} is no PEM text: {error}"))?;
        found.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
    };
    if roots.is_empty() {
        return Err(if ca_location.is_empty() {
            "the system has no trusted certificates: set https.ca.location to those of the token endpoint".to_owned()
        } else {
            format!("https.ca.location = {ca_location:?} has no certificate in PEM form (BEGIN CERTIFICATE)")
        });
    }
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .build())
}

/// `application/x-www-form-urlencoded`.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            out.push(char::from(byte));
        } else if byte == b' ' {
            out.push('+');
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn forms_are_encoded_as_browsers_do() {
        assert_eq!(encoded("a b+c&d=é~*"), "a+b%2Bc%26d%3D%C3%A9%7E*");
        assert_eq!(encoded("kafka.read-1_x"), "kafka.read-1_x");
    }
}
