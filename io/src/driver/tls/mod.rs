//! TLS for the connections to the brokers: rustls over ring, or nothing where the `tls` feature is off.
//!
//! ring and not aws-lc: it builds with a C compiler alone. Everything here is non-blocking; the handshake advances with the
//! socket's readiness, like everything else.

#[cfg(feature = "tls")]
mod connector;
#[cfg(feature = "tls")]
mod material;
#[cfg(feature = "tls")]
mod session;

use std::fmt;

#[cfg(feature = "tls")]
pub use self::connector::TlsConnector;
#[cfg(feature = "tls")]
pub(super) use self::session::Session;

/// Whose certificates are believed.
#[derive(Clone)]
pub enum Trust {
    /// The system's roots.
    System,
    /// The certificates of this PEM text.
    Pem(Vec<u8>),
    /// The certificates of this PKCS#12 archive. Needs the feature `pkcs12`.
    Pkcs12 {
        /// The archive.
        archive: Vec<u8>,
        /// Its password; may be empty.
        password: String,
    },
}

/// Who we are, for brokers that ask (`ssl.client.auth`).
#[derive(Clone)]
pub enum Identity {
    /// PEM texts, which may be the same one.
    Pem {
        /// Our certificate first, then those that it rests on.
        chain: Vec<u8>,
        /// The private key: PKCS#8, PKCS#1 or SEC1.
        key: Vec<u8>,
        /// For a key that is encrypted (PKCS#8, PBES2). Needs the feature `pkcs12`.
        password: Option<String>,
    },
    /// A PKCS#12 archive with one key. Needs the feature `pkcs12`.
    Pkcs12 {
        /// The archive.
        archive: Vec<u8>,
        /// Its password; may be empty.
        password: String,
    },
}

/// How to speak TLS.
#[derive(Clone)]
pub struct TlsOptions {
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Our own certificate; none if no broker asks for one.
    pub identity: Option<Identity>,
    /// Whether a broker's certificate must be for the name that it was reached by. Without that, whoever has any
    /// certificate that is believed can pose as any broker.
    pub verify_host: bool,
    /// Whether TLS 1.2 may be spoken.
    pub tls12: bool,
    /// Whether TLS 1.3 may be spoken.
    pub tls13: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self { trust: Trust::System, identity: None, verify_host: true, tls12: true, tls13: true }
    }
}

/// Keys and passwords are not for logs.
impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Pem(_) => "Pem(..)",
            Self::Pkcs12 { .. } => "Pkcs12(..)",
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pem { .. } => "Pem(..)",
            Self::Pkcs12 { .. } => "Pkcs12(..)",
        })
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("trust", &self.trust)
            .field("identity", &self.identity)
            .field("verify_host", &self.verify_host)
            .field("tls12", &self.tls12)
            .field("tls13", &self.tls13)
            .finish()
    }
}

/// TLS cannot be set up as asked. The text says which part and why; it holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub(crate) String);

/// Why a connection is over.
#[derive(Debug)]
pub(super) struct Lost {
    /// For people.
    pub(super) why: String,
    /// One side did not believe the other: trying again changes nothing by itself.
    pub(super) untrusted: bool,
}

impl From<String> for Lost {
    fn from(why: String) -> Self {
        Self { why, untrusted: false }
    }
}

/// A build without TLS: no value of these types exists.
#[cfg(not(feature = "tls"))]
mod without {
    use std::io::{IoSlice, Read, Write};
    use std::sync::Arc;

    use super::{Lost, TlsError, TlsOptions};

    /// Makes TLS sessions; without the feature `tls` there is none.
    #[derive(Clone, Debug)]
    pub enum TlsConnector {}

    impl TlsConnector {
        /// Always fails.
        ///
        /// # Errors
        /// This build has no TLS.
        pub fn new(_: &TlsOptions) -> Result<Self, TlsError> {
            Err(TlsError("this build has no TLS: turn on the Cargo feature `tls`".to_owned()))
        }

        pub(in super::super) fn session(&self, _: &Arc<str>) -> Result<Session, Lost> {
            match *self {}
        }
    }

    pub(in super::super) enum Session {}

    impl Session {
        pub(in super::super) fn pull(
            &mut self,
            _: &mut (impl Read + Write),
            _: &mut [u8],
            _: impl FnMut(&[u8]),
        ) -> Result<Option<usize>, Lost> {
            match *self {}
        }

        pub(in super::super) fn becomes_secure(&mut self) -> bool {
            match *self {}
        }

        pub(in super::super) fn is_secure(&self) -> bool {
            match *self {}
        }

        pub(in super::super) fn flush(&mut self, _: &mut impl Write) -> Result<bool, Lost> {
            match *self {}
        }

        pub(in super::super) fn accept(&mut self, _: &[IoSlice<'_>]) -> Result<usize, Lost> {
            match *self {}
        }

        pub(in super::super) fn say_goodbye(&mut self, _: &mut impl Write) {
            match *self {}
        }
    }
}
#[cfg(not(feature = "tls"))]
pub(super) use self::without::Session;
#[cfg(not(feature = "tls"))]
pub use self::without::TlsConnector;

/// Most bytes that a session is given at once: what rustls encrypts before it must be written.
pub(super) const AT_ONCE: usize = 64 * 1_024;
