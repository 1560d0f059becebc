//! Tokens for OAUTHBEARER from an HTTP endpoint, by the client's own credentials (RFC 6749, section 4.4).
//!
//! Runs on the driver's token thread: nothing else waits for it. A token is kept until 80 % of its lifetime is over, as
//! Java does, and until its end where no new one can be had; it serves all connections meanwhile. No error shows the client's
//! secret, the token, or more of the URL than its host.

mod answer;
mod request;

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use forebay_io::driver::OAuthToken;

use self::answer::Token;
use self::request::Request;
use crate::config::ClientCredentials;

/// The part of a token's lifetime during which it is used: Java's `sasl.login.refresh.window.factor`.
const USED: f64 = 0.8;

/// Why there is no token. The text holds no secret.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    why: String,
    /// Asking again may help.
    passing: bool,
}

impl Refusal {
    fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), passing: true }
    }

    fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), passing: false }
    }
}

/// An endpoint that gives tokens, and the last one that it gave.
pub(crate) struct Endpoint {
    request: Request,
    extensions: Vec<(String, String)>,
    backoff: Duration,
    backoff_max: Duration,
    held: Mutex<Option<Held>>,
}

struct Held {
    token: String,
    /// From then on a new one is asked for.
    renew: Instant,
    /// Until then it is good, if no new one can be had.
    until: Instant,
}

impl Endpoint {
    /// # Errors
    /// Certificates that cannot be read, or a URL that is none.
    pub(crate) fn new(settings: &ClientCredentials) -> Result<Self, String> {
        Ok(Self {
            request: Request::new(settings)?,
            extensions: settings.extensions.clone(),
            backoff: settings.retry_backoff,
            backoff_max: settings.retry_backoff_max,
            held: Mutex::new(None),
        })
    }

    /// The token that is held, or a new one. Tries again where that may help, for `sasl.login.retry.backoff.max.ms`.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(crate) fn token(&self) -> Result<OAuthToken, String> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_none_or(|held| held.renew <= Instant::now()) {
            let asked = Instant::now();
            // While one is good nobody waits for the next.
            let patience =
                if held.as_ref().is_some_and(|held| held.until > asked) { Duration::ZERO } else { self.backoff_max };
            match (self.fetch(patience), &mut *held) {
                (Ok(Token { token, lifetime }), _) => {
                    let lifetime = lifetime.unwrap_or_default();
                    let after = |time: Duration| asked.checked_add(time).unwrap_or(asked);
                    *held = Some(Held { token, renew: after(lifetime.mul_f64(USED)), until: after(lifetime) });
                }
                (Err(why), Some(old)) if old.until > Instant::now() => {
                    tracing::warn!(target: "forebay::connection", why, "no new token; the last one is still good");
                    old.renew = asked.checked_add(self.backoff_max).map_or(old.until, |again| again.min(old.until));
                }
                (Err(why), _) => {
                    *held = None;
                    return Err(why);
                }
            }
        }
        let token = held.as_ref().map(|held| held.token.clone()).unwrap_or_default();
        Ok(OAuthToken { token, extensions: self.extensions.clone() })
    }

    /// Asks for a token, and again where that may help, for so long.
    fn fetch(&self, patience: Duration) -> Result<Token, String> {
        let (start, mut pause) = (Instant::now(), self.backoff);
        loop {
            let refusal = match self.request.send().and_then(|(status, body)| self.request.read(status, &body)) {
                Ok(token) => return Ok(token),
                Err(refusal) => refusal,
            };
            if !refusal.passing || start.elapsed() + pause > patience {
                return Err(format!("the token endpoint {}: {}", self.request.host(), refusal.why));
            }
            tracing::warn!(target: "forebay::connection", endpoint = self.request.host(), why = refusal.why, "no token yet");
            thread::sleep(pause);
            // A backoff of nothing would otherwise be a hot loop.
            pause = (pause * 2).max(Duration::from_millis(1)).min(self.backoff_max);
        }
    }
}

/// Seconds since 1970, for the claims of a token.
fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
