//! SCRAM (RFC 5802) with SHA-256 and SHA-512, the client's side, without channel binding, as Kafka has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

use super::{SaslError, ScramHash, Step, printable};

/// Fewer make a stolen proof too easy to search; Kafka refuses to store fewer.
const LEAST_ITERATIONS: u32 = 4_096;
/// More would only keep the I/O thread busy; Kafka stores at most 16,384.
const MOST_ITERATIONS: u32 = 100_000;

pub(crate) struct Scram {
    hash: ScramHash,
    password: String,
    nonce: String,
    /// The first message without the `n,,` in front.
    first_bare: String,
    state: State,
}

enum State {
    Begun,
    /// The proof is sent; this is what the other side must show.
    Proven {
        expected: Vec<u8>,
    },
    Done,
}

impl Scram {
    pub(super) fn new(hash: ScramHash, username: &str, password: String, nonce: String) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={username},r={nonce}");
        Self { hash, password, nonce, first_bare, state: State::Begun }
    }

    pub(super) fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.first_bare).into_bytes()
    }

    pub(super) fn next(&mut self, theirs: &[u8]) -> Result<Step, SaslError> {
        let wrong = |what: &str| SaslError(format!("{}: {what}", self.name()));
        let text = std::str::from_utf8(theirs).map_err(|_| wrong("the broker's message is no text"))?;
        if let Some(error) = text.strip_prefix("e=") {
            return Err(wrong(&printable(error.as_bytes())));
        }
        match &self.state {
            State::Begun => {
                let (message, expected) = self.prove(text)?;
                self.state = State::Proven { expected };
                Ok(Step::Send(message))
            }
            State::Proven { expected } => {
                let shown = attribute(text.split(','), 'v').and_then(|v| BASE64.decode(v).ok());
                let shown = shown.ok_or_else(|| wrong("the broker has not proven that it knows the password"))?;
                if !same(&shown, expected) {
                    return Err(wrong("the broker does not know the password: it is not who it says"));
                }
                self.state = State::Done;
                Ok(Step::Done)
            }
            State::Done => Err(wrong("a message after the last")),
        }
    }

    /// The final message, and what the other side must answer.
    fn prove(&self, first: &str) -> Result<(Vec<u8>, Vec<u8>), SaslError> {
        let wrong = |what: &str| SaslError(format!("{}: {what}", self.name()));
        let mut parts = first.split(',');
        let malformed = || wrong("the broker's first message is malformed");
        let nonce = attribute(&mut parts, 'r').ok_or_else(malformed)?;
        let salt = attribute(&mut parts, 's').and_then(|s| BASE64.decode(s).ok()).ok_or_else(malformed)?;
        let iterations = attribute(&mut parts, 'i').and_then(|i| i.parse::<u32>().ok()).ok_or_else(malformed)?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(wrong("the broker's nonce does not continue ours"));
        }
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(wrong(&format!(
                "the broker asks for {iterations} iterations, allowed are {LEAST_ITERATIONS} to {MOST_ITERATIONS}"
            )));
        }
        // biws is base64 of "n,,": no channel binding.
        let without_proof = format!("c=biws,r={nonce}");
        let auth = format!("{},{first},{without_proof}", self.first_bare);
        let salted = self.salted(&salt, iterations);
        let client_key = self.hmac(&salted, b"Client Key");
        let signature = self.hmac(&self.digest(&client_key), auth.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let expected = self.hmac(&self.hmac(&salted, b"Server Key"), auth.as_bytes());
        Ok((format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes(), expected))
    }

    fn name(&self) -> &'static str {
        match self.hash {
            ScramHash::Sha256 => "SCRAM-SHA-256",
            ScramHash::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn salted(&self, salt: &[u8], iterations: u32) -> Vec<u8> {
        let password = self.password.as_bytes();
        match self.hash {
            ScramHash::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec(),
            ScramHash::Sha512 => pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations).to_vec(),
        }
    }

    fn hmac(&self, key: &[u8], data: &[u8]) -> Vec<u8> {
        // HMAC takes keys of any length, so neither of these can fail.
        match self.hash {
            ScramHash::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
                .unwrap_or_default(),
            ScramHash::Sha512 => Hmac::<Sha512>::new_from_slice(key)
                .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
                .unwrap_or_default(),
        }
    }

    fn digest(&self, data: &[u8]) -> Vec<u8> {
        match self.hash {
            ScramHash::Sha256 => Sha256::digest(data).to_vec(),
            ScramHash::Sha512 => Sha512::digest(data).to_vec(),
        }
    }
}

/// The value of the next part that must be `name=value`.
fn attribute<'a>(mut parts: impl Iterator<Item = &'a str>, name: char) -> Option<&'a str> {
    parts.next()?.strip_prefix(name)?.strip_prefix('=')
}

/// In a time that does not tell where they differ. Neither is ever empty.
fn same(a: &[u8], b: &[u8]) -> bool {
    !a.is_empty() && a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn scram(password: &str) -> Scram {
        Scram::new(ScramHash::Sha256, "user", password.to_owned(), NONCE.to_owned())
    }

    /// RFC 7677, section 3.
    #[test]
    fn the_example_of_the_standard() {
        let mut scram = scram("pencil");
        assert_eq!(scram.first(), format!("n,,n=user,r={NONCE}").into_bytes());
        let proof = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                      p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(scram.next(SERVER_FIRST), Ok(Step::Send(proof.to_vec())));
        assert_eq!(scram.next(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(Step::Done));
        assert!(scram.next(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").is_err(), "once is enough");
    }

    #[test]
    fn a_broker_that_does_not_know_the_password_is_not_believed() {
        for last in
            [&b"v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="[..], b"v=", b"v=!", b"", b"x=6rri", b"e=no", b"\xff"]
        {
            let mut scram = scram("pencil");
            assert!(scram.next(SERVER_FIRST).is_ok());
            let error = scram.next(last).expect_err("not proven");
            assert!(!error.0.contains("pencil"), "{error:?}");
        }
    }

    #[test]
    fn malformed_and_hostile_first_messages_are_refused() {
        for first in [
            &b""[..],
            b"r=,s=,i=",
            b"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            b"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=*,i=4096",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-4096",
            b"m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            b"e=unknown-user",
        ] {
            assert!(scram("pencil").next(first).is_err(), "{}", String::from_utf8_lossy(first));
        }
    }

    #[test]
    fn names_are_escaped() {
        let scram = Scram::new(ScramHash::Sha512, "a=b,c", String::new(), "n".to_owned());
        assert_eq!(scram.first(), b"n,,n=a=3Db=2Cc,r=n");
    }
}
