//! Certificates and keys, from where they are kept.

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Identity, TlsError, Trust};

fn error(text: impl Into<String>) -> TlsError {
    TlsError(text.into())
}

pub(super) fn roots(trust: &Trust) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::System => {
            let found = rustls_native_certs::load_native_certs();
            // One that cannot be read or used is no reason to do without the others.
            let (added, _) = roots.add_parsable_certificates(found.certs);
            if added == 0 {
                let why = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
                return Err(error(format!(
                    "the system has no trusted certificates{why}: set ssl.truststore.location to those of the brokers"
                )));
            }
        }
        Trust::Pem(text) => add(&mut roots, certificates(text, "the truststore")?)?,
        Trust::Pkcs12 { archive, password } => add(&mut roots, pkcs12_roots(archive, password)?)?,
    }
    Ok(roots)
}

fn add(roots: &mut RootCertStore, certificates: Vec<CertificateDer<'static>>) -> Result<(), TlsError> {
    for (number, certificate) in certificates.into_iter().enumerate() {
        roots
            .add(certificate)
            .map_err(|why| error(format!("certificate {} of the truststore cannot be used: {why}", number + 1)))?;
    }
    Ok(())
}

fn certificates(text: &[u8], of: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|why| error(format!("{of} is no PEM text: {why}")))?;
    if found.is_empty() {
        return Err(error(format!("{of} has no certificate in PEM form (BEGIN CERTIFICATE)")));
    }
    Ok(found)
}

/// The chain, our own certificate first, and its key.
pub(super) fn identity(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    match identity {
        Identity::Pem { chain, key, password } => {
            Ok((certificates(chain, "the client certificate chain")?, pem_key(key, password.as_deref())?))
        }
        Identity::Pkcs12 { archive, password } => pkcs12_identity(archive, password),
    }
}

fn pem_key(text: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
    const ENCRYPTED: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";
    if text.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
        return decrypted_key(text, password);
    }
    // What the library says of a broken key may not be shown: it could quote it.
    PrivateKeyDer::from_pem_slice(text)
        .map_err(|_| error("the client's private key is not PEM: PKCS#8 (BEGIN PRIVATE KEY), PKCS#1 or SEC1"))
}

#[cfg(not(feature = "pkcs12"))]
mod archives {
    use super::{CertificateDer, PrivateKeyDer, TlsError, error};

    const MISSING: &str =
        "this build cannot decrypt keys: turn on the Cargo feature `pkcs12`, or use a PEM key without a password";

    pub(super) fn pkcs12_roots(_: &[u8], _: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        Err(error("this build reads no PKCS#12: turn on the Cargo feature `pkcs12`, or use ssl.truststore.type=PEM"))
    }

    pub(super) fn pkcs12_identity(
        _: &[u8],
        _: &str,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        Err(error("this build reads no PKCS#12: turn on the Cargo feature `pkcs12`, or use ssl.keystore.type=PEM"))
    }

    pub(super) fn decrypted_key(_: &[u8], _: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
        Err(error(MISSING))
    }
}
#[cfg(feature = "pkcs12")]
#[path = "archives.rs"]
mod archives;

use archives::{decrypted_key, pkcs12_identity, pkcs12_roots};
