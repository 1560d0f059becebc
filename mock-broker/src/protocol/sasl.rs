//! `SaslHandshake` and `SaslAuthenticate`: PLAIN, SCRAM and OAUTHBEARER, the broker's side.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use kafka_protocol::messages::{SaslAuthenticateResponse, SaslHandshakeResponse};
use kafka_protocol::protocol::StrBytes;
use sha2::{Digest as _, Sha256, Sha512};

use super::wire::{Malformed, Parsed, Reader};
use super::{Outcome, Request};

/// For users, and for tokens.
const BY_PASSWORD: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
const BY_TOKEN: [&str; 1] = ["OAUTHBEARER"];
const ITERATIONS: u32 = 4_096;
const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const ILLEGAL_SASL_STATE: i16 = 34;
const SASL_AUTHENTICATION_FAILED: i16 = 58;

/// Who may come in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doorkeeper {
    /// For PLAIN and SCRAM.
    pub(crate) users: Vec<(String, String)>,
    /// For OAUTHBEARER.
    pub(crate) tokens: Vec<String>,
    /// How long they may stay without saying it again.
    pub(crate) lifetime: Option<Duration>,
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) struct Session {
    /// The node that it is with.
    pub(crate) node: i32,
    state: State,
    /// Until when it is believed.
    until: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Stranger,
    /// The mechanism is agreed.
    Agreed(&'static str),
    /// Between the messages of SCRAM: the mechanism and what the proof is checked against.
    Challenged {
        mechanism: &'static str,
        password: String,
        first_bare: String,
        server_first: String,
    },
    /// A token that was not believed, and one more message to come.
    Doubted,
    Known,
}

impl Session {
    pub(crate) fn new(node: i32) -> Self {
        Self { node, state: State::Stranger, until: None }
    }

    /// Whether requests other than those that say who it is are answered.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.state, State::Known) && self.until.is_none_or(|until| Instant::now() < until)
    }
}

pub(super) fn handshake(request: &mut Request<'_>, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Parsed<Outcome> {
    let wanted = reader.string()?;
    let mut body = SaslHandshakeResponse::default();
    let keeper = request.cluster.config.sasl.as_ref();
    let offered: Vec<&'static str> = keeper.map(Doorkeeper::mechanisms).unwrap_or_default();
    if keeper.is_none() {
        body = body.with_error_code(ILLEGAL_SASL_STATE);
    } else if let Some(mechanism) = offered.iter().copied().find(|known| *known == wanted) {
        request.session.state = State::Agreed(mechanism);
    } else {
        body = body.with_error_code(UNSUPPORTED_SASL_MECHANISM);
    }
    let mechanisms = offered.into_iter().map(StrBytes::from_static_str).collect();
    request.answer(&body.with_mechanisms(mechanisms), out)
}

pub(super) fn authenticate(request: &mut Request<'_>, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Parsed<Outcome> {
    let said = reader.nullable_bytes()?.ok_or(Malformed)?;
    reader.tags()?;
    let Some(keeper) = request.cluster.config.sasl.clone() else { return Err(Malformed) };
    let state = std::mem::replace(&mut request.session.state, State::Stranger);
    let Some((state, answer)) = keeper.hear(state, said) else {
        // A Kafka broker says so and closes.
        let body = SaslAuthenticateResponse::default()
            .with_error_code(SASL_AUTHENTICATION_FAILED)
            .with_error_message(Some(StrBytes::from_static_str("Authentication failed: Invalid credentials")));
        request.answer(&body, out)?;
        return Ok(Outcome::Close);
    };
    let mut body = SaslAuthenticateResponse::default().with_auth_bytes(Bytes::from(answer));
    if matches!(state, State::Known) {
        request.session.until = keeper.lifetime.map(|lifetime| Instant::now() + lifetime);
        if request.version >= 1 {
            body = body.with_session_lifetime_ms(keeper.lifetime.map_or(0, |lifetime| lifetime.as_millis() as i64));
        }
    }
    request.session.state = state;
    request.answer(&body, out)
}

impl Doorkeeper {
    /// Those that somebody can come in by.
    fn mechanisms(&self) -> Vec<&'static str> {
        let by_password = BY_PASSWORD.into_iter().filter(|_| !self.users.is_empty());
        by_password.chain(BY_TOKEN.into_iter().filter(|_| !self.tokens.is_empty())).collect()
    }

    fn password(&self, name: &str) -> Option<&str> {
        self.users.iter().find(|(user, _)| user == name).map(|(_, password)| password.as_str())
    }

    /// The next state and what to answer; none if whoever speaks is not believed.
    fn hear(&self, state: State, said: &[u8]) -> Option<(State, Vec<u8>)> {
        let text = std::str::from_utf8(said).ok()?;
        match state {
            State::Agreed("PLAIN") => {
                let mut parts = text.split('\0');
                let (_, name, password) = (parts.next()?, parts.next()?, parts.next()?);
                (self.password(name)? == password && parts.next().is_none()).then(|| (State::Known, Vec::new()))
            }
            State::Agreed("OAUTHBEARER") => {
                let token = text.strip_prefix("n,,\x01auth=Bearer ")?.split('\x01').next()?;
                if self.tokens.iter().any(|known| known == token) {
                    Some((State::Known, Vec::new()))
                } else {
                    Some((State::Doubted, br#"{"status":"invalid_token"}"#.to_vec()))
                }
            }
            State::Agreed(mechanism) => {
                let first_bare = text.strip_prefix("n,,")?.to_owned();
                let mut parts = first_bare.split(',');
                let name = parts.next()?.strip_prefix("n=")?.replace("=2C", ",").replace("=3D", "=");
                let nonce = parts.next()?.strip_prefix("r=")?.to_owned();
                let password = self.password(&name)?.to_owned();
                let salt = BASE64.encode(name);
                let server_first = format!("r={nonce}{},s={salt},i={ITERATIONS}", fastrand::u64(..));
                let answer = server_first.clone().into_bytes();
                Some((State::Challenged { mechanism, password, first_bare, server_first }, answer))
            }
            State::Challenged { mechanism, password, first_bare, server_first } => {
                let (without_proof, proof) = text.rsplit_once(",p=")?;
                let nonce = server_first.split(',').next()?.strip_prefix("r=")?;
                if without_proof != format!("c=biws,r={nonce}") {
                    return None;
                }
                let salt = BASE64.decode(server_first.split(',').nth(1)?.strip_prefix("s=")?).ok()?;
                let auth = format!("{first_bare},{server_first},{without_proof}");
                let proof = BASE64.decode(proof).ok()?;
                let strong = mechanism == "SCRAM-SHA-512";
                let salted = if strong {
                    pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password.as_bytes(), &salt, ITERATIONS).to_vec()
                } else {
                    pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), &salt, ITERATIONS).to_vec()
                };
                let client_key = hmac(strong, &salted, b"Client Key")?;
                let stored =
                    if strong { Sha512::digest(&client_key).to_vec() } else { Sha256::digest(&client_key).to_vec() };
                let signature = hmac(strong, &stored, auth.as_bytes())?;
                let right = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).eq(proof.iter().copied());
                let shown = hmac(strong, &hmac(strong, &salted, b"Server Key")?, auth.as_bytes())?;
                right.then(|| (State::Known, format!("v={}", BASE64.encode(shown)).into_bytes()))
            }
            State::Doubted | State::Stranger | State::Known => None,
        }
    }
}

fn hmac(strong: bool, key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    Some(if strong {
        Hmac::<Sha512>::new_from_slice(key).ok()?.chain_update(data).finalize().into_bytes().to_vec()
    } else {
        Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(data).finalize().into_bytes().to_vec()
    })
}
