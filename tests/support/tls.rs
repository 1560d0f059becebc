//! A door that speaks TLS, in front of a broker that does not; and the certificates for it.
#![allow(dead_code)] // each test binary uses its own part of it

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

/// Somebody who signs certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Card {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Card {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate")]
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key")
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        // Two authorities are told apart by their names first.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("signed") }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names and addresses.
    pub(crate) fn card(&self, names: &[&str]) -> Card {
        self.card_until(names, 2_100)
    }

    pub(crate) fn expired(&self, names: &[&str]) -> Card {
        self.card_until(names, 2_001)
    }

    fn card_until(&self, names: &[&str], year: i32) -> Card {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.not_before = date_time_ymd(2_000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Card { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A port that speaks TLS and passes on what comes. It serves until the test ends.
pub(crate) struct Door {
    port: u16,
    seen: Arc<Seen>,
}

/// What came to a door.
#[derive(Default)]
pub(crate) struct Seen {
    connections: AtomicUsize,
    slam: AtomicUsize,
    names: Mutex<Vec<String>>,
    client_certificates: AtomicUsize,
}

/// A port that is not yet open: whoever is behind a door must know its number first.
pub(crate) struct Frame {
    listener: TcpListener,
}

impl Frame {
    pub(crate) fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a free port") }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().expect("bound").port()
    }

    /// Opens it. `ask` wants a certificate of this authority from every client.
    pub(crate) fn open(self, card: &Card, ask: Option<&Authority>, backend: String) -> Door {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match ask {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM")).expect("a root");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let config = Arc::new(builder.with_single_cert(card.chain(), card.key()).expect("a certificate"));
        let seen = Arc::new(Seen::default());
        let door = Door { port: self.port(), seen: seen.clone() };
        let listener = self.listener;
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(mut client) = client else { return };
                seen.connections.fetch_add(1, Ordering::SeqCst);
                if seen.slam.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                    // In the middle of the handshake: its first bytes have come, and no answer goes.
                    let _ = client.read(&mut [0; 16]);
                    continue;
                }
                let (config, seen, backend) = (config.clone(), seen.clone(), backend.clone());
                thread::spawn(move || pass(client, config, &seen, &backend));
            }
        });
        door
    }
}

impl Door {
    /// For `bootstrap.servers`.
    pub(crate) fn at(&self, host: &str) -> String {
        format!("{host}:{}", self.port)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// The next so many connections are closed in the middle of their handshake.
    pub(crate) fn slam(&self, times: usize) {
        self.seen.slam.store(times, Ordering::SeqCst);
    }

    /// The names that clients asked for (SNI).
    pub(crate) fn names(&self) -> Vec<String> {
        self.seen.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn client_certificates(&self) -> usize {
        self.seen.client_certificates.load(Ordering::SeqCst)
    }
}

/// Both directions in turn; errors end the connection.
fn pass(mut client: TcpStream, config: Arc<ServerConfig>, seen: &Seen, backend: &str) -> Option<()> {
    let mut tls = ServerConnection::new(config).ok()?;
    let mut back = TcpStream::connect(backend).ok()?;
    client.set_nonblocking(true).ok()?;
    back.set_nonblocking(true).ok()?;
    let mut buffer = vec![0; 64 * 1024];
    let (mut to_back, mut told) = (Vec::new(), false);
    loop {
        let mut idle = true;
        if to_back.len() < 1 << 20
            && let Some(n) = ready(tls.read_tls(&mut client))?
        {
            idle = false;
            let state = tls.process_new_packets();
            if n == 0 || state.is_err() {
                let _ = tls.write_tls(&mut client);
                return None;
            }
            while let Ok(n @ 1..) = tls.reader().read(&mut buffer) {
                to_back.extend_from_slice(&buffer[..n]);
            }
        }
        if !tls.is_handshaking() && !std::mem::replace(&mut told, true) {
            seen.names.lock().ok()?.extend(tls.server_name().map(str::to_owned));
            seen.client_certificates.fetch_add(usize::from(tls.peer_certificates().is_some()), Ordering::SeqCst);
        }
        if !to_back.is_empty()
            && let Some(n) = ready(back.write(&to_back))?
        {
            idle = false;
            to_back.drain(..n);
        }
        if !tls.wants_write()
            && told
            && let Some(n) = ready(back.read(&mut buffer))?
        {
            idle = false;
            if n == 0 {
                return None;
            }
            tls.writer().write_all(&buffer[..n]).ok()?;
        }
        while tls.wants_write() && ready(tls.write_tls(&mut client))?.is_some() {
            idle = false;
        }
        if idle {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The outer none: an error. The inner none: not now.
#[allow(clippy::option_option, reason = "the question mark takes the outer one away")]
fn ready(result: io::Result<usize>) -> Option<Option<usize>> {
    match result {
        Ok(n) => Some(Some(n)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(None),
        Err(_) => None,
    }
}
