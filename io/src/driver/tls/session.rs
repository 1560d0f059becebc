//! One connection's TLS: ciphertext from and to the socket, plaintext to and from the core.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, ClientConnection, Error, InvalidMessage};

use super::{AT_ONCE, Lost};

pub(in super::super) struct Session {
    tls: ClientConnection,
    /// What the broker was reached by, for people.
    host: Arc<str>,
    /// The handshake's end was told.
    secure: bool,
    /// The broker has said something since.
    heard: bool,
}

impl Session {
    pub(super) fn new(mut tls: ClientConnection, host: Arc<str>) -> Self {
        tls.set_buffer_limit(Some(AT_ONCE));
        Self { tls, host, secure: false, heard: false }
    }

    /// Reads from the socket once and shows what it decrypts to. Answers how many bytes were read, none if the socket had
    /// nothing.
    pub(in super::super) fn pull(
        &mut self,
        stream: &mut (impl Read + Write),
        buffer: &mut [u8],
        mut show: impl FnMut(&[u8]),
    ) -> Result<Option<usize>, Lost> {
        let n = match self.tls.read_tls(stream) {
            Ok(0) => return Err(self.ended()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Some(0)),
            Err(error) => return Err(Lost { why: self.during(&error.to_string()), untrusted: false }),
        };
        match self.tls.process_new_packets() {
            Ok(state) => {
                let mut left = state.plaintext_bytes_to_read();
                while left > 0 {
                    let n = self.tls.reader().read(buffer).map_err(|error| error.to_string())?;
                    if n == 0 {
                        break;
                    }
                    self.heard = true;
                    show(&buffer[..n]);
                    left = left.saturating_sub(n);
                }
                Ok(Some(n))
            }
            Err(error) => {
                // Tell the broker why, if the socket takes it.
                let _ = self.tls.write_tls(stream);
                Err(self.failed(&error))
            }
        }
    }

    /// Whether the handshake has ended since the last call.
    pub(in super::super) fn becomes_secure(&mut self) -> bool {
        !self.tls.is_handshaking() && !std::mem::replace(&mut self.secure, true)
    }

    /// Whether plaintext may go.
    pub(in super::super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Writes ciphertext to the socket. Answers whether all of it is written, or the socket is full.
    pub(in super::super) fn flush(&mut self, stream: &mut impl Write) -> Result<bool, Lost> {
        while self.tls.wants_write() {
            match self.tls.write_tls(stream) {
                Ok(0) => return Err("the socket takes no more bytes".to_owned().into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Lost { why: self.during(&error.to_string()), untrusted: false }),
            }
        }
        Ok(true)
    }

    /// Encrypts plaintext, from its front, as much as fits. Only after a [`flush`](Self::flush) that got everything out. Answers how
    /// many bytes: the broker may have them from now on, as every write to the socket may be of their ciphertext.
    pub(in super::super) fn accept(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Lost> {
        let accepted = self.tls.writer().write_vectored(slices).map_err(|error| error.to_string())?;
        if accepted == 0 {
            return Err("TLS takes no more bytes".to_owned().into());
        }
        Ok(accepted)
    }

    /// The connection is about to be closed by us.
    pub(in super::super) fn say_goodbye(&mut self, stream: &mut impl Write) {
        self.tls.send_close_notify();
        // As far as the socket takes it at once.
        let _ = self.tls.write_tls(stream);
    }

    fn during(&self, what: &str) -> String {
        if self.secure { what.to_owned() } else { format!("TLS handshake with {}: {what}", self.host) }
    }

    fn ended(&self) -> Lost {
        let why = if self.heard {
            "closed by the broker".to_owned()
        } else if self.secure {
            // With TLS 1.3 this is where a broker may say so, and its alert may be lost.
            "closed by the broker right after the TLS handshake. Does it ask for a client certificate?".to_owned()
        } else {
            self.during("closed by the broker. Does this port speak TLS, and does it ask for a client certificate?")
        };
        Lost { why, untrusted: false }
    }

    fn failed(&self, error: &Error) -> Lost {
        let hint = match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                ". Set ssl.truststore.location to the certificate of whoever has signed it"
            }
            Error::InvalidMessage(InvalidMessage::InvalidContentType) if !self.secure => {
                ". Does this port speak TLS (security.protocol)?"
            }
            Error::AlertReceived(AlertDescription::CertificateRequired) => ". Set ssl.keystore.location",
            _ => "",
        };
        // With TLS 1.3 a broker judges our certificate after our side of the handshake has ended.
        let untrusted = !self.secure || matches!(error, Error::AlertReceived(alert) if about_certificates(*alert));
        Lost { why: self.during(&format!("{error}{hint}")), untrusted }
    }
}

fn about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            // What rustls says of a certificate whose signature is not its issuer's.
            | AlertDescription::DecryptError
    )
}
