//! PKCS#12 archives and encrypted keys.

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use pkcs8::der::Decode as _;
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::{CertificateDer, PrivateKeyDer, TlsError, error};

const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

fn open(archive: &[u8], password: &str, of: &str) -> Result<KeyStore, TlsError> {
    // Relaxed: Java and OpenSSL leave out attributes that the strict reading asks for.
    KeyStore::from_pkcs12(archive, password, Pkcs12ImportPolicy::Relaxed)
        .map_err(|why| error(format!("{of} cannot be read as PKCS#12 with this password: {why}")))
}

pub(super) fn pkcs12_roots(archive: &[u8], password: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let store = open(archive, password, "the truststore")?;
    let mut found = Vec::new();
    for (_, entry) in store.entries() {
        match entry {
            KeyStoreEntry::Certificate(certificate) => found.push(certificate.as_der().to_vec().into()),
            KeyStoreEntry::PrivateKeyChain(chain) => {
                found.extend(chain.certs().iter().map(|certificate| certificate.as_der().to_vec().into()));
            }
            KeyStoreEntry::Secret(_) => {}
        }
    }
    if found.is_empty() { Err(error("the truststore has no certificate")) } else { Ok(found) }
}

pub(super) fn pkcs12_identity(
    archive: &[u8],
    password: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let store = open(archive, password, "the keystore")?;
    let (_, chain) = store.private_key_chain().ok_or_else(|| error("the keystore has no private key"))?;
    let certificates = chain.certs().iter().map(|certificate| certificate.as_der().to_vec().into()).collect();
    let key = PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec());
    Ok((certificates, key.into()))
}

pub(super) fn decrypted_key(text: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let Some(password) = password else {
        return Err(error("the client's private key is encrypted: set ssl.key.password"));
    };
    let failed = || error("the client's private key cannot be decrypted with ssl.key.password (PKCS#8 with PBES2)");
    // The file may hold certificates as well.
    let text = std::str::from_utf8(text).map_err(|_| failed())?;
    let from = text.find(BEGIN).ok_or_else(failed)?;
    let to = text[from..].find(END).ok_or_else(failed)? + from + END.len();
    let (_, der) = SecretDocument::from_pem(&text[from..to]).map_err(|_| failed())?;
    let key = EncryptedPrivateKeyInfoRef::from_der(der.as_bytes()).map_err(|_| failed())?;
    let key = key.decrypt(password).map_err(|_| failed())?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}
