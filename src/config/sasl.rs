//! The `sasl.` keys: what they hold and what they must be together.

use super::oauth::{self, ClientCredentials};
use super::rules::Check;
use super::{Secret, jaas};
use forebay_io::core::ScramHash;
use forebay_io::driver::{CredentialSource, OAuthToken, PasswordMechanism};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// How the producer says who it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// The password itself. Use it within TLS (`SASL_SSL`).
    Plain,
    /// Both sides prove that they know the password, and neither sends it.
    ScramSha256,
    /// As [`ScramSha256`](Self::ScramSha256), with another hash.
    ScramSha512,
    /// A token that somebody else has given.
    OAuthBearer,
}

impl SaslMechanism {
    const ALL: [Self; 4] = [Self::Plain, Self::ScramSha256, Self::ScramSha512, Self::OAuthBearer];

    fn password(self) -> Option<PasswordMechanism> {
        match self {
            Self::Plain => Some(PasswordMechanism::Plain),
            Self::ScramSha256 => Some(PasswordMechanism::Scram(ScramHash::Sha256)),
            Self::ScramSha512 => Some(PasswordMechanism::Scram(ScramHash::Sha512)),
            Self::OAuthBearer => None,
        }
    }

    /// The last part of the JAAS module's class name.
    fn module(self) -> &'static str {
        match self {
            Self::Plain => "PlainLoginModule",
            Self::ScramSha256 | Self::ScramSha512 => "ScramLoginModule",
            Self::OAuthBearer => "OAuthBearerLoginModule",
        }
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OAuthBearer => "OAUTHBEARER",
        })
    }
}

/// The `sasl.` keys. Secrets are hidden in its `Debug` output.
#[derive(Clone, Debug, Default)]
pub struct SaslSettings {
    pub(super) mechanism_name: String,
    pub(super) mechanism: Option<SaslMechanism>,
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) jaas_config: Secret,
    pub(super) oauth: ClientCredentials,
    pub(super) msk_region: String,
}

impl SaslSettings {
    /// `sasl.mechanism`; none where `security.protocol` has no SASL.
    pub fn mechanism(&self) -> Option<SaslMechanism> {
        self.mechanism
    }

    /// The endpoint that tokens are to be fetched from, if that is what the settings say.
    #[cfg(feature = "oauth-http")]
    pub(crate) fn token_endpoint(&self) -> Option<&ClientCredentials> {
        Some(&self.oauth).filter(|oauth| oauth::is_http(oauth.url.expose()))
    }

    /// The region for whose MSK tokens are to be signed, if that is what the settings say.
    #[cfg(feature = "aws-msk-iam")]
    pub(crate) fn msk_region(&self) -> Option<&str> {
        Some(self.msk_region.as_str()).filter(|region| !region.is_empty())
    }

    /// Where credentials come from, if these settings say, and it is not from an endpoint.
    pub(crate) fn credentials(&self) -> Option<CredentialSource> {
        let mechanism = self.mechanism?;
        if let Some(mechanism) = mechanism.password() {
            let (username, password) = (self.username.clone(), self.password.expose().to_owned());
            return Some(CredentialSource::Password { mechanism, username, password });
        }
        let path = token_file(self.oauth.url.expose())?;
        // Read each time: whoever renews the token writes the file anew.
        Some(CredentialSource::Token(Arc::new(move || {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("the token file {} cannot be read: {error}", path.display()))?;
            Ok(OAuthToken::new(text.trim()))
        })))
    }
}

/// The path of a `file:` URL, as `file:/path` or `file:///path`.
fn token_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("file:")?;
    let path = path.strip_prefix("//").map_or(path, |rest| rest.strip_prefix("localhost").unwrap_or(rest));
    path.starts_with('/').then(|| PathBuf::from(path))
}

impl Check<'_> {
    /// What the keys of SASL must be together.
    pub(super) fn sasl(&mut self) {
        const MECHANISM: &str = "sasl.mechanism";
        const JAAS: &str = "sasl.jaas.config";
        const URL: &str = "sasl.oauthbearer.token.endpoint.url";
        const REGION: &str = "sasl.oauthbearer.aws.msk.region";
        let protocol = self.settings.security_protocol;
        if !protocol.has_sasl() {
            let password = [MECHANISM, JAAS, "sasl.username", "sasl.password", URL];
            for key in password.into_iter().chain(oauth::ONLY_WITH_HTTP).chain([REGION]) {
                if self.holds(key) {
                    self.secret_problem(key, format!(
                        "has no effect with security.protocol={protocol}: set that to SASL_SSL or SASL_PLAINTEXT, or remove this"
                    ));
                }
            }
            return;
        }
        let name = self.settings.sasl.mechanism_name.clone();
        let known = SaslMechanism::ALL.into_iter().find(|m| m.to_string().eq_ignore_ascii_case(&name));
        let Some(mechanism) = known else {
            let message = if name.eq_ignore_ascii_case("GSSAPI") {
                "Kerberos is not spoken. Use one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"
            } else if name.eq_ignore_ascii_case("AWS_MSK_IAM") {
                "Amazon MSK takes OAUTHBEARER as well: use that, and sasl.oauthbearer.aws.msk.region"
            } else {
                "must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"
            };
            return self.problem(MECHANISM, message.to_owned());
        };
        self.settings.sasl.mechanism = Some(mechanism);
        if self.holds(JAAS) {
            if self.holds("sasl.username") || self.holds("sasl.password") {
                self.secret_problem(JAAS, "cannot be set together with sasl.username and sasl.password".to_owned());
            }
            self.jaas(mechanism);
        }
        let sasl = &self.settings.sasl;
        if mechanism.password().is_some() {
            let (no_user, no_password) = (sasl.username.is_empty(), sasl.password.is_empty());
            if (no_user || no_password) && !self.holds(JAAS) {
                let key = if no_user { "sasl.username" } else { "sasl.password" };
                self.secret_problem(
                    key,
                    format!(
                        "{mechanism} needs a user name and a password: set sasl.username and sasl.password, or {JAAS}"
                    ),
                );
            }
            return;
        }
        let url = &sasl.oauth.url;
        if !sasl.msk_region.is_empty() {
            if !url.is_empty() {
                self.problem(REGION, format!("cannot be set together with {URL}"));
            } else if !cfg!(feature = "aws-msk-iam") {
                self.problem(REGION, "this build signs no tokens: turn on the Cargo feature `aws-msk-iam`".to_owned());
            } else if !sasl.msk_region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                self.problem(REGION, "must be the name of a region, as eu-central-1".to_owned());
            }
            return;
        }
        if oauth::is_http(url.expose()) {
            return self.token_endpoint();
        }
        if !url.is_empty() && token_file(url.expose()).is_none() {
            let message = "must be https://HOST/PATH, an endpoint to ask, or file:///path/to/token, a file to read. For \
                           other ways give the builder a token source (ProducerBuilder::oauth_token)";
            self.secret_problem(URL, message.to_owned());
        }
        for key in oauth::ONLY_WITH_HTTP {
            if self.holds(key) {
                self.secret_problem(
                    key,
                    format!("has no effect: it is for tokens that are fetched, from {URL}=https://…"),
                );
            }
        }
    }

    /// Takes user name and password out of `sasl.jaas.config`.
    fn jaas(&mut self, mechanism: SaslMechanism) {
        const JAAS: &str = "sasl.jaas.config";
        let entry = match jaas::parse(self.settings.sasl.jaas_config.expose()) {
            Ok(entry) => entry,
            Err(why) => {
                let message = format!("{why}: write CLASS required username=\"NAME\" password=\"PASSWORD\";");
                return self.secret_problem(JAAS, message);
            }
        };
        if entry.module.rsplit('.').next() != Some(mechanism.module()) {
            return self.secret_problem(JAAS, format!("{mechanism} goes with {}", mechanism.module()));
        }
        if mechanism == SaslMechanism::OAuthBearer {
            return self.oauth_options(entry);
        }
        let option = |name: &str| entry.options.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        if option("tokenauth").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return self.secret_problem(JAAS, "delegation tokens (tokenauth) are not spoken".to_owned());
        }
        match (option("username"), option("password")) {
            (Some(username), Some(password)) => {
                self.settings.sasl.username = username;
                self.settings.sasl.password = Secret::new(password);
            }
            _ => self.secret_problem(JAAS, "needs the options username and password".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::token_file;
    use std::path::Path;

    #[test]
    fn token_files_are_absolute() {
        for url in ["file:/run/token", "file:///run/token", "file://localhost/run/token"] {
            assert_eq!(token_file(url).as_deref(), Some(Path::new("/run/token")), "{url}");
        }
        for url in ["http://a/b", "/run/token", "file:token", "file://host/token", ""] {
            assert_eq!(token_file(url), None, "{url}");
        }
    }
}
