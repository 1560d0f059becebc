//! Reads what was set and holds the values against each other.

use super::error::Problem;
use super::key::{FOR_EVER, KeySpec, Kind, Standing, find, keys};
use super::settings::{Adjustment, Settings};
use super::{Acks, Config, ConfigBuilder, ConfigError, SecurityProtocol, suggest};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a Produce request with one batch holds beside that batch, at most: frame, headers, acks, timeout, topic name (249 bytes)
/// or id, partition. The client id comes on top.
pub(super) const REQUEST_OVERHEAD: usize = 512;

/// The least memory of an I/O thread: the least `buffer.memory`.
pub(super) const LEAST_MEMORY: usize = 65_536;

/// With more requests in flight a broker no longer recognises all duplicates: it keeps the last five batches of a producer.
const IDEMPOTENT_IN_FLIGHT: usize = 5;

/// `forebay-producer-N`, N from 1 within this process.
pub(super) fn next_client_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("forebay-producer-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The configuration, but for a client id that was left empty.
pub(super) fn check(builder: &ConfigBuilder) -> Result<Config, ConfigError> {
    let mut check =
        Check { builder, settings: Settings::default(), problems: builder.problems.clone(), adjustments: Vec::new() };
    for spec in keys() {
        if let (Some(apply), Ok(value)) = (spec.apply, spec.kind.read(spec.default)) {
            apply(&mut check.settings, value);
        }
    }
    for (key, value) in &builder.values {
        check.one(key, value);
    }
    check.servers();
    check.tls();
    check.sasl();
    check.client_id();
    check.idempotence();
    check.sizes();
    check.compression();
    check.figures();
    check.times();
    check.idleness();
    if check.problems.is_empty() {
        let properties = check.properties();
        Ok(Config { settings: check.settings, adjustments: check.adjustments, properties })
    } else {
        Err(ConfigError::new(check.problems))
    }
}

pub(super) struct Check<'a> {
    builder: &'a ConfigBuilder,
    pub(super) settings: Settings,
    problems: Vec<Problem>,
    adjustments: Vec<Adjustment>,
}

impl Check<'_> {
    /// One key by itself.
    fn one(&mut self, key: &str, text: &str) {
        let Some(spec) = find(key) else {
            return self.problems.push(Problem::new(key, None, suggest::advice(key)));
        };
        let shown = (spec.kind != Kind::Password).then_some(text);
        let read = spec.kind.read(text);
        let message = match (spec.standing, read) {
            (Standing::Refused(why), _) if !is_empty_list(spec, text) => why.to_owned(),
            (Standing::Only(values, why), _) if !allowed(spec, values, text) => why.to_owned(),
            (Standing::Refused(_) | Standing::Only(..), _) => return,
            (_, Err(message)) => message,
            (_, Ok(value)) => {
                if let Some(apply) = spec.apply {
                    apply(&mut self.settings, value);
                }
                return;
            }
        };
        self.problems.push(Problem::new(key, shown, message));
    }

    fn is_set(&self, key: &str) -> bool {
        self.builder.values.contains_key(key)
    }

    /// Whether a key was set to something.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.builder.values.get(key).is_some_and(|value| !value.trim().is_empty())
    }

    /// A problem with a key whose value is not to be repeated.
    pub(super) fn secret_problem(&mut self, key: &'static str, message: String) {
        self.problems.push(Problem::new(key, None, message));
    }

    pub(super) fn problem(&mut self, key: &'static str, message: String) {
        let value = self.builder.values.get(key).map(String::as_str);
        self.problems.push(Problem::new(key, value, message));
    }

    fn adjusted(&mut self, key: &'static str, value: &dyn ToString, reason: &str) {
        self.adjustments.push(Adjustment { key, value: value.to_string(), reason: reason.to_owned() });
    }

    /// What is in force of the keys in use: adjusted, as it was set, or the default.
    fn properties(&self) -> Vec<(&'static str, String)> {
        let used = keys().filter(|spec| matches!(spec.standing, Standing::Used) && spec.kind != Kind::Password);
        let value = |spec: &KeySpec| {
            let adjusted = self.adjustments.iter().rfind(|adjustment| adjustment.key == spec.name);
            let set = || spec.kind.canonical(self.builder.values.get(spec.name).map_or(spec.default, String::as_str));
            adjusted.map_or_else(set, |adjustment| adjustment.value.clone())
        };
        used.map(|spec| (spec.name, value(spec))).collect()
    }

    fn servers(&mut self) {
        const KEY: &str = "bootstrap.servers";
        if self.settings.bootstrap_servers.is_empty() {
            return self.problem(KEY, "must name at least one broker as host:port".to_owned());
        }
        let mut servers = Vec::new();
        for written in std::mem::take(&mut self.settings.bootstrap_servers) {
            match server(&written, self.settings.security_protocol) {
                Ok(server) => servers.push(server),
                Err(message) => self.problem(KEY, format!("{written:?} {message}")),
            }
        }
        self.settings.bootstrap_servers = servers;
    }

    fn client_id(&mut self) {
        // The protocol's strings hold at most this many bytes.
        if self.settings.client_id.len() > i16::MAX as usize {
            self.problems.push(Problem::new("client.id", None, "is too long: the most is 32767 bytes"));
        }
    }

    fn idempotence(&mut self) {
        const KEY: &str = "enable.idempotence";
        if !self.settings.enable_idempotence {
            return;
        }
        let mut off = false;
        if self.settings.acks != Acks::All {
            off |= self.rule_out(&format!("idempotence needs acks=all, and acks is {}", self.settings.acks));
        }
        if self.settings.retries == 0 {
            off |= self.rule_out("idempotence needs retries above 0");
        }
        if off {
            self.settings.enable_idempotence = false;
            return;
        }
        if self.settings.max_in_flight > IDEMPOTENT_IN_FLIGHT {
            let message =
                format!("must be at most {IDEMPOTENT_IN_FLIGHT} with idempotence. Lower it, or set {KEY}=false");
            self.problem("max.in.flight.requests.per.connection", message);
        }
    }

    /// Idempotence cannot be: an error where it was asked for, off where it was not.
    fn rule_out(&mut self, why: &str) -> bool {
        const KEY: &str = "enable.idempotence";
        if self.is_set(KEY) {
            self.problem(KEY, format!("{why}. Change that, or set {KEY}=false"));
            return false;
        }
        self.adjusted(KEY, &false, why);
        true
    }

    fn sizes(&mut self) {
        const KEY: &str = "batch.max.bytes";
        /// Far under what a broker takes (`socket.request.max.bytes`, 100 MiB).
        const LONG_REQUEST: usize = 8 << 20;
        let short = self.settings.max_request_size;
        let part = self.settings.buffer_memory / self.settings.io_threads.max(1);
        if part < LEAST_MEMORY {
            let (memory, threads) = (self.settings.buffer_memory, self.settings.io_threads);
            let message = format!(
                "leaves each thread {part} bytes of buffer.memory={memory}, and each needs {LEAST_MEMORY}. Set buffer.memory to at least {}, or lower it",
                LEAST_MEMORY * threads
            );
            self.problem("io.threads", message);
        }
        let share = (part / self.settings.max_in_flight.max(1)).min(LONG_REQUEST);
        self.settings.long_request_size = if self.is_set("max.request.size") { short } else { share.max(short) };
        let room = self.settings.max_request_size.saturating_sub(REQUEST_OVERHEAD + self.settings.client_id.len());
        if self.is_set(KEY) {
            if self.settings.batch_max_bytes > room {
                let request = self.settings.max_request_size;
                let message = format!(
                    "does not fit max.request.size={request} with the request's framing. Set it to at most {room}, or raise that"
                );
                self.problem(KEY, message);
            }
        } else {
            let wanted = self.settings.batch_max_bytes.max(self.settings.batch_size).min(room);
            if wanted != self.settings.batch_max_bytes {
                let why = if wanted < self.settings.batch_max_bytes {
                    "it must fit max.request.size"
                } else {
                    "batch.size asks for larger batches"
                };
                self.settings.batch_max_bytes = wanted;
                self.adjusted(KEY, &wanted, why);
            }
        }
        self.settings.batch_size = self.settings.batch_size.min(self.settings.batch_max_bytes);
    }

    fn compression(&mut self) {
        if self.settings.gzip_level == 0 {
            self.problem("compression.gzip.level", "must be 1 to 9, or -1".to_owned());
        }
        let chosen = self.settings.compression;
        if let Some(codec) = chosen.codec()
            && !codec.is_built_in()
        {
            let message = format!("this build has no {chosen}: turn on the Cargo feature `{chosen}` of forebay");
            self.problem("compression.type", message);
        }
    }

    fn figures(&mut self) {
        if !cfg!(feature = "statistics") && !self.settings.statistics_interval.is_zero() {
            let message = "this build has no statistics: turn on the Cargo feature `statistics` of forebay".to_owned();
            self.problem("statistics.interval.ms", message);
        }
    }

    fn idleness(&mut self) {
        if self.settings.connections_max_idle.is_zero() {
            // What was opened would be closed before it is used.
            let message = "must be -1 or at least 1: 0, which is librdkafka's word for never, would close each connection at once; never is -1 here";
            self.problem("connections.max.idle.ms", message.to_owned());
        }
    }

    fn times(&mut self) {
        const KEY: &str = "delivery.timeout.ms";
        let least = self.settings.linger.saturating_add(self.settings.request_timeout).min(FOR_EVER);
        if self.settings.delivery_timeout < least {
            if self.is_set(KEY) {
                let message = format!(
                    "must be at least linger.ms and request.timeout.ms together, that is {}",
                    least.as_millis()
                );
                self.problem(KEY, message);
            } else {
                self.settings.delivery_timeout = least;
                self.adjusted(KEY, &least.as_millis(), "it is at least linger.ms and request.timeout.ms together");
            }
        }
        self.ordered("retry.backoff.ms", "retry.backoff.max.ms", |s| (&mut s.retry_backoff, &mut s.retry_backoff_max));
        self.ordered("reconnect.backoff.ms", "reconnect.backoff.max.ms", |s| {
            (&mut s.reconnect_backoff, &mut s.reconnect_backoff_max)
        });
        self.ordered("socket.connection.setup.timeout.ms", "socket.connection.setup.timeout.max.ms", |s| {
            (&mut s.connection_setup_timeout, &mut s.connection_setup_timeout_max)
        });
    }

    /// A first wait that is longer than the longest: an error where both were set, otherwise the one that was not set follows.
    fn ordered(
        &mut self,
        first: &'static str,
        most: &'static str,
        times: fn(&mut Settings) -> (&mut Duration, &mut Duration),
    ) {
        let (first_time, most_time) = times(&mut self.settings);
        if *first_time <= *most_time {
            return;
        }
        if self.builder.values.contains_key(most) && self.builder.values.contains_key(first) {
            let message = format!("must not be longer than {most}={}", most_time.as_millis());
            self.problem(first, message);
        } else if self.builder.values.contains_key(most) {
            *first_time = *most_time;
            let value = first_time.as_millis();
            self.adjusted(first, &value, &format!("it is never longer than {most}"));
        } else {
            *most_time = *first_time;
            let value = most_time.as_millis();
            self.adjusted(most, &value, &format!("it is never shorter than {first}"));
        }
    }
}

fn is_empty_list(spec: &KeySpec, text: &str) -> bool {
    spec.kind == Kind::List && text.trim().is_empty()
}

fn allowed(spec: &KeySpec, values: &[&str], text: &str) -> bool {
    is_empty_list(spec, text) || values.iter().any(|value| value.eq_ignore_ascii_case(text.trim()))
}

/// `host:port` without the scheme that Kafka allows before it, or what is wrong with it.
fn server(written: &str, protocol: SecurityProtocol) -> Result<String, String> {
    let address = match written.split_once("://") {
        Some((scheme, address)) if scheme.eq_ignore_ascii_case(&protocol.to_string()) => address,
        Some((scheme, _)) => {
            return Err(format!("asks for {scheme}, and security.protocol is {protocol}"));
        }
        None => written,
    };
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err("has no port: write host:port".to_owned());
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return Err("is ambiguous: write an IPv6 address in brackets, as [::1]:9092".to_owned());
    }
    if bare.unwrap_or(host).is_empty() || host.contains(char::is_whitespace) || host.contains('/') {
        return Err("has no valid host: write host:port".to_owned());
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(address.to_owned()),
        _ => Err("has no valid port: write one from 1 to 65535".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{SecurityProtocol, server};

    #[test]
    fn servers_are_hosts_with_ports() {
        for (written, read) in [
            ("localhost:9092", "localhost:9092"),
            ("PLAINTEXT://kafka-1.example:1", "kafka-1.example:1"),
            ("[::1]:65535", "[::1]:65535"),
            ("10.0.0.1:9092", "10.0.0.1:9092"),
        ] {
            assert_eq!(server(written, SecurityProtocol::Plaintext).as_deref(), Ok(read));
        }
        for written in [
            "localhost",
            ":9092",
            "[]:9092",
            "::1:9092",
            "a:0",
            "a:65536",
            "a:x",
            "a:",
            "SSL://a:1",
            "a b:1",
            "http://a:1/",
            "plaintext:///x:1",
        ] {
            assert!(server(written, SecurityProtocol::Plaintext).is_err(), "{written}");
        }
    }
}
