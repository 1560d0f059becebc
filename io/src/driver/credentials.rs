//! What proves who we are: a password that is known, or a token that is asked for each time.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use forebay_engine::Ring;

use super::bell::Bell;
use crate::core::{ConnId, Credentials, ScramHash};

/// The SASL mechanisms that a password serves.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum PasswordMechanism {
    /// PLAIN: the password is sent.
    Plain,
    /// SCRAM: it is not.
    Scram(ScramHash),
}

/// A token for OAUTHBEARER. Its `Debug` output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuthToken {
    /// The token, as it stands in an `Authorization` header after `Bearer`.
    pub token: String,
    /// SASL extensions (KIP-342): names and values. Mostly none.
    pub extensions: Vec<(String, String)>,
}

impl OAuthToken {
    /// A token without extensions.
    pub fn new(token: impl Into<String>) -> Self {
        Self { token: token.into(), extensions: Vec::new() }
    }
}

impl fmt::Debug for OAuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OAuthToken(..)")
    }
}

/// Gets a token. Called on a thread of its own, once for each connection and each renewal, and may take its time. The text
/// of an error is shown: it must hold no secret.
pub type TokenSource = Arc<dyn Fn() -> Result<OAuthToken, String> + Send + Sync>;

/// Where credentials come from. Its `Debug` output hides them.
#[derive(Clone)]
pub enum CredentialSource {
    /// A user name and a password.
    Password {
        /// How they are shown to the broker.
        mechanism: PasswordMechanism,
        /// Who we are.
        username: String,
        /// And the proof of it.
        password: String,
    },
    /// OAUTHBEARER.
    Token(TokenSource),
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { mechanism, .. } => write!(f, "Password({mechanism:?}, ..)"),
            Self::Token(_) => f.write_str("Token(..)"),
        }
    }
}

type Answer = (ConnId, Result<Credentials, String>);
type Found = Mutex<Vec<Answer>>;

/// Answers the core's questions.
pub(super) struct Wallet {
    source: Option<CredentialSource>,
    bell: Bell,
    /// Something was asked, ever: where nothing is, nobody looks for answers.
    asked: bool,
    /// Begins with the first token.
    thread: Option<Sender<ConnId>>,
    found: Arc<Found>,
}

impl Wallet {
    pub(super) fn new(source: Option<CredentialSource>, bell: Bell) -> Self {
        Self { source, bell, asked: false, thread: None, found: Arc::default() }
    }

    /// Begins to look; the answer comes with [`Wallet::found`].
    pub(super) fn look(&mut self, conn: ConnId) {
        self.asked = true;
        match &self.source {
            None => self.answer(conn, Err("none are set".to_owned())),
            Some(CredentialSource::Password { mechanism, username, password }) => {
                let credentials = from_password(*mechanism, username.clone(), password.clone());
                self.answer(conn, credentials);
            }
            Some(CredentialSource::Token(source)) => {
                if self.thread.is_none() {
                    let (ask, asked) = channel();
                    let (source, found, bell) = (source.clone(), self.found.clone(), self.bell.clone());
                    let thread = thread::Builder::new().name("forebay-token".to_owned());
                    if let Err(error) = thread.spawn(move || fetch(&asked, &source, &found, &bell)) {
                        return self.answer(conn, Err(error.to_string()));
                    }
                    self.thread = Some(ask);
                }
                if self.thread.as_ref().is_none_or(|thread| thread.send(conn).is_err()) {
                    // The source has panicked; the next question begins anew.
                    self.thread = None;
                    self.answer(conn, Err("the token source has panicked".to_owned()));
                }
            }
        }
    }

    fn answer(&self, conn: ConnId, answer: Result<Credentials, String>) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push((conn, answer));
    }

    /// What was found since the last call.
    pub(super) fn found(&self) -> Vec<Answer> {
        if !self.asked {
            return Vec::new();
        }
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn from_password(mechanism: PasswordMechanism, username: String, password: String) -> Result<Credentials, String> {
    match mechanism {
        PasswordMechanism::Plain => Ok(Credentials::Plain { username, password }),
        PasswordMechanism::Scram(hash) => {
            let mut random = [0; 24];
            getrandom::fill(&mut random).map_err(|error| format!("the system gives no random bytes: {error}"))?;
            Ok(Credentials::Scram { hash, username, password, nonce: STANDARD_NO_PAD.encode(random) })
        }
    }
}

/// Until the driver is gone.
fn fetch(asked: &Receiver<ConnId>, source: &TokenSource, found: &Found, bell: &Bell) {
    while let Ok(conn) = asked.recv() {
        // The driver waits for an answer: a panic becomes one.
        let token = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| source()));
        let answer = match token {
            Ok(Ok(OAuthToken { token, extensions })) => Ok(Credentials::OAuthBearer { token, extensions }),
            Ok(Err(why)) => Err(why),
            Err(_) => Err("the token source has panicked".to_owned()),
        };
        found.lock().unwrap_or_else(PoisonError::into_inner).push((conn, answer));
        bell.ring();
    }
}
