//! The keys of tokens that are fetched over HTTP (OAuth 2.0 client credentials): what they hold and what they must be together.

use super::rules::Check;
use super::{Secret, jaas};
use std::time::Duration;

const URL: &str = "sasl.oauthbearer.token.endpoint.url";
const ID: &str = "sasl.oauthbearer.client.credentials.client.id";
const SECRET: &str = "sasl.oauthbearer.client.credentials.client.secret";
const SCOPE: &str = "sasl.oauthbearer.scope";
const CA: &str = "https.ca.location";
const JAAS: &str = "sasl.jaas.config";

/// Keys without which nothing is fetched.
pub(super) const ONLY_WITH_HTTP: [&str; 4] = [ID, SECRET, SCOPE, CA];

/// Who asks for a token, where, and how patiently. Secrets are hidden in its `Debug` output.
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "oauth-http"), allow(dead_code, reason = "checked, and then refused"))]
pub(crate) struct ClientCredentials {
    /// `http://` or `https://`, with a host. It may hold a secret.
    pub(crate) url: Secret,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    pub(crate) scope: String,
    /// Id and secret are URL-encoded before they are joined (RFC 6749, 2.3.1).
    pub(crate) header_urlencode: bool,
    /// The file with the certificates that are believed; empty for the system's.
    pub(crate) ca_location: String,
    /// SASL extensions (KIP-342).
    pub(crate) extensions: Vec<(String, String)>,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) retry_backoff: Duration,
    pub(crate) retry_backoff_max: Duration,
}

/// Whether a URL is one to ask over HTTP.
pub(super) fn is_http(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
}

/// The host of an HTTP URL, with its port. None without one, and with a user name before it.
pub(crate) fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let sound = authority.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    (sound && !authority.is_empty() && !authority.starts_with(':')).then_some(authority)
}

impl Check<'_> {
    /// What the keys of a token endpoint must be together. The URL is one of HTTP.
    pub(super) fn token_endpoint(&mut self) {
        if !cfg!(feature = "oauth-http") {
            let message = "this build fetches no tokens: turn on the Cargo feature `oauth-http`, give the builder a token \
                           source (ProducerBuilder::oauth_token), or have another program write file:///path/to/token";
            return self.secret_problem(URL, message.to_owned());
        }
        let oauth = &self.settings.sasl.oauth;
        let (no_id, no_secret) = (oauth.client_id.is_empty(), oauth.client_secret.is_empty());
        if authority(oauth.url.expose()).is_none() || oauth.url.expose().chars().any(|c| c <= ' ' || c == '\u{7f}') {
            let message = "must be https://HOST[:PORT]/PATH, without a user name: the client's goes into \
                           sasl.oauthbearer.client.credentials.client.id";
            self.secret_problem(URL, message.to_owned());
        }
        for (missing, key, option) in [(no_id, ID, "clientId"), (no_secret, SECRET, "clientSecret")] {
            if missing {
                let message = format!("is needed to ask for a token: set it, or {option} in {JAAS}");
                self.secret_problem(key, message);
            }
        }
        if self.settings.sasl.oauth.retry_backoff > self.settings.sasl.oauth.retry_backoff_max {
            let message = "must be at most sasl.login.retry.backoff.max.ms".to_owned();
            self.problem("sasl.login.retry.backoff.ms", message);
        }
    }

    /// The options of Java's `OAuthBearerLoginModule`. Where a key says the same, the key counts, as in Kafka 4.1.
    pub(super) fn oauth_options(&mut self, entry: jaas::Entry) {
        const UNKNOWN: &str = "its options can be clientId, clientSecret, scope, extension_NAME, ssl.truststore.location and \
                               ssl.truststore.type=PEM. For what else Java's take, see docs/security.md";
        for (name, value) in entry.options {
            let (unset_id, unset_secret, unset_scope, unset_ca) =
                (!self.holds(ID), !self.holds(SECRET), !self.holds(SCOPE), !self.holds(CA));
            let oauth = &mut self.settings.sasl.oauth;
            match name.as_str() {
                "clientId" if unset_id => oauth.client_id = value,
                "clientSecret" if unset_secret => oauth.client_secret = Secret::new(value),
                "scope" if unset_scope => oauth.scope = value,
                "ssl.truststore.location" if unset_ca => oauth.ca_location = value,
                "clientId" | "clientSecret" | "scope" | "ssl.truststore.location" => {}
                "ssl.truststore.type" if value.eq_ignore_ascii_case("PEM") => {}
                _ => match name.strip_prefix("extension_") {
                    Some(extension) => oauth.extensions.push((extension.to_owned(), value)),
                    None => return self.secret_problem(JAAS, UNKNOWN.to_owned()),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{authority, is_http};

    #[test]
    fn a_url_has_a_host_and_nobody_before_it() {
        for (url, host) in [
            ("https://idp.example/token", Some("idp.example")),
            ("HTTP://[::1]:80?x=y", Some("[::1]:80")),
            ("https://me:hunter2@idp.example/token", None),
            ("https:///token", None),
            ("https://:443/token", None),
            ("https://a b/token", None),
        ] {
            assert_eq!(authority(url), host, "{url}");
            assert!(is_http(url), "{url}");
        }
        for url in ["file:///x", "ftp://a/b", "", "https:/a"] {
            assert!(!is_http(url), "{url}");
        }
    }
}
