//! From options to sessions: what is loaded and checked once, for all connections.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use super::session::Session;
use super::{Lost, TlsError, TlsOptions, material};

/// Makes TLS sessions. Cheap to clone.
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
}

/// rustls's own `Debug` is long, and nobody has checked what it shows.
impl std::fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConnector(..)")
    }
}

impl TlsConnector {
    /// Reads certificates and keys.
    ///
    /// # Errors
    /// What cannot be read or used, and why.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut versions = Vec::new();
        if options.tls12 {
            versions.push(&rustls::version::TLS12);
        }
        if options.tls13 {
            versions.push(&rustls::version::TLS13);
        }
        if versions.is_empty() {
            return Err(TlsError("no version of TLS is allowed: allow TLSv1.3".to_owned()));
        }
        let of = |what: &str, error: &dyn std::fmt::Display| TlsError(format!("{what}: {error}"));
        let roots = Arc::new(material::roots(&options.trust)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(|error| of("the trusted certificates cannot be used", &error))?;
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)
            .map_err(|error| of("these versions of TLS cannot be used", &error))?;
        let builder = if options.verify_host {
            builder.with_webpki_verifier(verifier)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName { verifier, provider }))
        };
        let config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = material::identity(identity)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| {
                    // ring wants an EC key's public half beside the private one; keytool leaves it out.
                    let hint = "an EC key must hold its public key, which those of Java's keytool do not: use an RSA key there";
                    TlsError(format!("the client certificate and its key cannot be used: {error} ({hint})"))
                })?
            }
        };
        Ok(Self { config: Arc::new(config) })
    }

    /// A session with a broker that is reached by this name or address. The name is sent (SNI) and, unless that is turned
    /// off, must be in the broker's certificate.
    pub(in super::super) fn session(&self, host: &Arc<str>) -> Result<Session, Lost> {
        let name = ServerName::try_from(&**host)
            .map_err(|_| Lost { why: format!("{host:?} is no name for TLS"), untrusted: true })?
            .to_owned();
        let tls = ClientConnection::new(self.config.clone(), name)
            .map_err(|error| Lost { why: format!("TLS with {host}: {error}"), untrusted: true })?;
        Ok(Session::new(tls, host.clone()))
    }
}

/// Everything that rustls checks but the name (`ssl.endpoint.identification.algorithm=`).
#[derive(Debug)]
struct AnyName {
    verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The name is what is looked at last: whoever gets there has passed the rest.
        match self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
