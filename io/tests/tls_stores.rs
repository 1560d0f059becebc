//! Key and trust stores as keytool and OpenSSL write them, and keys with a password. The files in `tls_stores` protect
//! nothing.
#![cfg(feature = "pkcs12")]

use forebay_io::driver::{Identity, TlsConnector, TlsOptions, Trust};

const KEYSTORE: &[u8] = include_bytes!("tls_stores/keystore.p12");
const OPENSSL: &[u8] = include_bytes!("tls_stores/openssl.p12");
const TRUSTSTORE: &[u8] = include_bytes!("tls_stores/truststore.p12");
const KEY: &[u8] = include_bytes!("tls_stores/key.pem");

/// Whether it can be set up: rustls then has found that key and certificate belong together.
fn connector(identity: Identity, password: &str) -> Result<(), String> {
    let trust = Trust::Pkcs12 { archive: TRUSTSTORE.to_vec(), password: password.to_owned() };
    let options = TlsOptions { trust, identity: Some(identity), ..TlsOptions::default() };
    TlsConnector::new(&options).map(drop).map_err(|error| error.to_string())
}

#[test]
fn stores_of_keytool_and_of_openssl_are_read() {
    for archive in [KEYSTORE, OPENSSL] {
        let identity = Identity::Pkcs12 { archive: archive.to_vec(), password: "changeit".to_owned() };
        connector(identity, "changeit").unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn an_encrypted_key_is_decrypted() {
    let pem = |password: Option<&str>| Identity::Pem {
        chain: KEY.to_vec(),
        key: KEY.to_vec(),
        password: password.map(str::to_owned),
    };
    connector(pem(Some("changeit")), "changeit").unwrap_or_else(|error| panic!("{error}"));
    for password in [None, Some("hunter2")] {
        let error = connector(pem(password), "changeit").expect_err("refused");
        assert!(error.contains("ssl.key.password") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn wrong_passwords_and_broken_stores_are_errors_that_show_no_secret() {
    let identity =
        |archive: &[u8], password: &str| Identity::Pkcs12 { archive: archive.to_vec(), password: password.to_owned() };
    for (identity, password) in [
        (identity(KEYSTORE, "hunter2"), "changeit"),
        (identity(KEYSTORE, "changeit"), "hunter2"),
        (identity(&KEYSTORE[..KEYSTORE.len() / 2], "changeit"), "changeit"),
        (identity(b"", "changeit"), "changeit"),
        (identity(TRUSTSTORE, "changeit"), "changeit"),
    ] {
        let error = connector(identity, password).expect_err("refused");
        assert!(error.contains("store") && !error.contains("hunter2"), "{error}");
    }
}
