//! SASL mechanisms, each as an exchange of bytes: no sockets, no clock, no randomness of its own.

mod scram;

use std::fmt;

use self::scram::Scram;

/// The hash of a SCRAM mechanism.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum ScramHash {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

/// What proves who we are, for one authentication. Its `Debug` output hides it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// PLAIN (RFC 4616): the password itself. Only within TLS is it a secret.
    Plain {
        /// Who we are.
        username: String,
        /// And the proof of it.
        password: String,
    },
    /// SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and neither sends it.
    Scram {
        /// Which of them.
        hash: ScramHash,
        /// Who we are.
        username: String,
        /// What both sides know.
        password: String,
        /// Printable characters without a comma that nobody can guess, new each time.
        nonce: String,
    },
    /// OAUTHBEARER (RFC 7628): a token that somebody else has given.
    OAuthBearer {
        /// The token, as it stands in an `Authorization` header after `Bearer`.
        token: String,
        /// SASL extensions (KIP-342): names and values.
        extensions: Vec<(String, String)>,
    },
}

impl Credentials {
    /// What the mechanism is called.
    pub const fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "PLAIN",
            Self::Scram { hash: ScramHash::Sha256, .. } => "SCRAM-SHA-256",
            Self::Scram { hash: ScramHash::Sha512, .. } => "SCRAM-SHA-512",
            Self::OAuthBearer { .. } => "OAUTHBEARER",
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(..)", self.mechanism())
    }
}

/// The other side broke off, or did not prove that it knows us. The text holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SaslError(pub(crate) String);

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send these bytes.
    Send(Vec<u8>),
    /// The mechanism is content. What the broker says of its own counts besides.
    Done,
}

/// One authentication.
pub(crate) enum Exchange {
    /// One message says it all; what comes back is empty.
    Plain { message: Vec<u8> },
    /// Boxed: it is the largest by far.
    Scram(Box<Scram>),
    /// The token goes out; a broker that does not believe it says why, and waits for a last word.
    OAuthBearer { message: Vec<u8>, complaint: Option<String> },
}

impl Exchange {
    /// # Errors
    /// Credentials that the mechanism cannot express.
    pub(crate) fn new(credentials: Credentials) -> Result<Self, SaslError> {
        match credentials {
            Credentials::Plain { username, password } => {
                if username.contains('\0') || password.contains('\0') {
                    return Err(SaslError("PLAIN: user name and password cannot hold NUL".to_owned()));
                }
                Ok(Self::Plain { message: format!("\0{username}\0{password}").into_bytes() })
            }
            Credentials::Scram { hash, username, password, nonce } => {
                Ok(Self::Scram(Box::new(Scram::new(hash, &username, password, nonce))))
            }
            Credentials::OAuthBearer { token, extensions } => {
                oauth_message(&token, &extensions).map(|message| Self::OAuthBearer { message, complaint: None })
            }
        }
    }

    /// The first message, which is ours in all of these mechanisms. To be called once.
    pub(crate) fn first(&mut self) -> Vec<u8> {
        match self {
            Self::Plain { message } | Self::OAuthBearer { message, .. } => std::mem::take(message),
            Self::Scram(scram) => scram.first(),
        }
    }

    /// # Errors
    /// The other side is not believed.
    pub(crate) fn next(&mut self, theirs: &[u8]) -> Result<Step, SaslError> {
        match self {
            Self::Plain { .. } => Ok(Step::Done),
            Self::Scram(scram) => scram.next(theirs),
            Self::OAuthBearer { complaint, .. } if theirs.is_empty() && complaint.is_none() => Ok(Step::Done),
            Self::OAuthBearer { complaint: Some(complaint), .. } => Err(SaslError(format!("OAUTHBEARER: {complaint}"))),
            Self::OAuthBearer { complaint, .. } => {
                *complaint = Some(printable(theirs));
                // RFC 7628, 3.2.3: the client answers an error with one control-A, and then the broker says no.
                Ok(Step::Send(vec![1]))
            }
        }
    }

    /// What the mechanism knows of a refusal that the broker's own words may leave out.
    pub(crate) fn complaint(&self) -> Option<&str> {
        match self {
            Self::OAuthBearer { complaint, .. } => complaint.as_deref(),
            _ => None,
        }
    }
}

fn oauth_message(token: &str, extensions: &[(String, String)]) -> Result<Vec<u8>, SaslError> {
    let text = |text: &str| !text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !text(token) {
        return Err(SaslError("OAUTHBEARER: the token is empty or has characters that no token has".to_owned()));
    }
    let mut message = format!("n,,\x01auth=Bearer {token}\x01");
    for (name, value) in extensions {
        let sound = !name.is_empty() && name != "auth" && name.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !sound || !text(value) {
            return Err(SaslError(format!("OAUTHBEARER: {name:?} is no extension")));
        }
        message.extend([name, "=", value, "\x01"]);
    }
    message.push('\x01');
    Ok(message.into_bytes())
}

/// Words of the other side, as far as they can be shown.
fn printable(bytes: &[u8]) -> String {
    const MOST: usize = 300;
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(credentials: Credentials) -> Exchange {
        Exchange::new(credentials).unwrap_or_else(|error| panic!("{}", error.0))
    }

    #[test]
    fn plain_is_one_message() {
        let mut plain = exchange(Credentials::Plain { username: "tim".into(), password: "tanstaaftanstaaf".into() });
        assert_eq!(plain.first(), b"\0tim\0tanstaaftanstaaf");
        assert_eq!(plain.next(b""), Ok(Step::Done));
        assert!(Exchange::new(Credentials::Plain { username: "a\0b".into(), password: "c".into() }).is_err());
    }

    #[test]
    fn a_token_goes_out_with_its_extensions_and_a_complaint_is_kept() {
        let extensions = vec![("traceId".to_owned(), "123".to_owned())];
        let mut oauth = exchange(Credentials::OAuthBearer { token: "abc.def".into(), extensions });
        assert_eq!(oauth.first(), b"n,,\x01auth=Bearer abc.def\x01traceId=123\x01\x01");
        assert_eq!(oauth.next(br#"{"status":"invalid_token"}"#), Ok(Step::Send(vec![1])));
        assert_eq!(oauth.complaint(), Some(r#"{"status":"invalid_token"}"#));
        assert!(oauth.next(b"").is_err(), "a broker that then says yes is none");
        let bad = |token: &str, name: &str| {
            let extensions = vec![(name.to_owned(), "x".to_owned())];
            Exchange::new(Credentials::OAuthBearer { token: token.into(), extensions }).err()
        };
        assert!(bad("a", "ok").is_none());
        for (token, name) in [("", "ok"), ("a\x01b", "ok"), ("a", "auth"), ("a", "x=y"), ("a", "")] {
            let error = bad(token, name).expect("refused");
            assert!(token.is_empty() || !error.0.contains(&format!("{token} ")), "{error:?}");
        }
    }

    #[test]
    fn credentials_hide_themselves() {
        let all = [
            Credentials::Plain { username: "me".into(), password: "hunter2".into() },
            Credentials::Scram {
                hash: ScramHash::Sha256,
                username: "me".into(),
                password: "hunter2".into(),
                nonce: "hunter2".into(),
            },
            Credentials::OAuthBearer { token: "hunter2".into(), extensions: vec![("a".into(), "hunter2".into())] },
        ];
        for credentials in all {
            assert!(!format!("{credentials:?}").contains("hunter2"));
        }
    }
}
