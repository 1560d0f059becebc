//! A door that speaks TLS, in front of the stub that does not: one thread for each connection.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Bytes waiting for the stub beyond which nothing more is read from the client.
const WAITING: usize = 4 << 20;

/// An open port whose backend is not known yet: the broker must be told the port first.
pub(crate) struct Door {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    /// The certificate, which is its own authority, as PEM. Removed when the stub ends in order.
    pub(crate) certificate: PathBuf,
}

impl Door {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(signing_key.serialize_der())?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        let certificate = std::env::temp_dir().join(format!("peer-stub-{}.pem", std::process::id()));
        std::fs::write(&certificate, cert.pem())?;
        Ok(Self { listener: TcpListener::bind("127.0.0.1:0")?, config: Arc::new(config), certificate })
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Passes on what comes, until the process ends.
    pub(crate) fn open(self, backend: String) {
        thread::spawn(move || {
            for client in self.listener.incoming().flatten() {
                let (config, backend) = (Arc::clone(&self.config), backend.clone());
                thread::spawn(move || pass(client, config, &backend));
            }
        });
    }
}

/// Both directions in turn; errors and ends end the connection.
fn pass(mut client: TcpStream, config: Arc<ServerConfig>, backend: &str) -> Option<()> {
    let mut tls = ServerConnection::new(config).ok()?;
    let mut back = TcpStream::connect(backend).ok()?;
    client.set_nodelay(true).ok()?;
    client.set_nonblocking(true).ok()?;
    back.set_nonblocking(true).ok()?;
    let mut buffer = vec![0; 256 * 1024];
    let mut to_back: Vec<u8> = Vec::new();
    let mut sent = 0;
    loop {
        let mut idle = true;
        if to_back.len() - sent < WAITING
            && let Some(n) = ready(tls.read_tls(&mut client))?
        {
            idle = false;
            if n == 0 || tls.process_new_packets().is_err() {
                return None;
            }
            while let Ok(n @ 1..) = tls.reader().read(&mut buffer) {
                to_back.extend_from_slice(buffer.get(..n)?);
            }
        }
        if sent < to_back.len()
            && let Some(n) = ready(back.write(to_back.get(sent..)?))?
        {
            idle = false;
            sent += n;
            if sent == to_back.len() {
                to_back.clear();
                sent = 0;
            }
        }
        if !tls.wants_write()
            && let Some(n) = ready(back.read(&mut buffer))?
        {
            idle = false;
            if n == 0 {
                return None;
            }
            tls.writer().write_all(buffer.get(..n)?).ok()?;
        }
        while tls.wants_write() && ready(tls.write_tls(&mut client))?.is_some() {
            idle = false;
        }
        if idle {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// The outer none: an error. The inner none: not now.
#[expect(clippy::option_option, reason = "the question mark takes the outer one away")]
fn ready(result: io::Result<usize>) -> Option<Option<usize>> {
    match result {
        Ok(n) => Some(Some(n)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(None),
        Err(_) => None,
    }
}
