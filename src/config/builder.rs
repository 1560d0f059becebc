//! Gathers values from all sources.

use super::error::Problem;
use super::key::{Kind, find, keys};
use super::{Acks, CompressionType, Config, ConfigError, SecurityProtocol, properties, rules};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::{env, fmt, fs};

/// Gathers a configuration from typed methods, properties, files and the environment.
///
/// Whatever comes later replaces what was set before. Nothing is checked until [`build`](Self::build) or
/// [`validate`](Self::validate), which report everything at once.
/// Durations are kept in whole milliseconds, as in Kafka: a fraction is rounded up.
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct ConfigBuilder {
    /// What was set, by key: as it was written, checked by `rules`.
    pub(super) values: BTreeMap<String, String>,
    /// Sources that could not be read.
    pub(super) problems: Vec<Problem>,
}

impl ConfigBuilder {
    /// Every key at its default. `bootstrap.servers` has none and must be set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key by its name, as in a properties file. See `forebay config` or `docs/configuration.md` for all of them.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.insert(key.into(), value.into());
        self
    }

    /// Sets many keys by their names. Of equal keys the last counts.
    pub fn properties<K: Into<String>, V: Into<String>>(self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        pairs.into_iter().fold(self, |builder, (key, value)| builder.set(key, value))
    }

    /// Sets what a Java properties file in UTF-8 says. That it cannot be read or is malformed is reported by [`build`](Self::build).
    pub fn properties_file(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let name = path.display().to_string();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.problems.push(Problem::new(&name, None, format!("the properties file cannot be read: {error}")));
                return self;
            }
        };
        let (entries, bad) = properties::parse(&text);
        for escape in bad {
            let message = "malformed \\u escape: write four hexadecimal digits, and both halves of a surrogate pair";
            self.problems.push(Problem::new(&format!("{name}, line {}", escape.line), None, message));
        }
        self.properties(entries.into_iter().map(|entry| (entry.key, entry.value)))
    }

    /// Sets what the environment says: with the prefix `FOREBAY_`, the variable `FOREBAY_LINGER_MS` is `linger.ms`.
    /// Every variable that begins with the prefix must be a key.
    pub fn env(self, prefix: &str) -> Self {
        self.env_from(prefix, env::vars_os())
    }

    fn env_from<S: AsRef<std::ffi::OsStr>>(mut self, prefix: &str, vars: impl IntoIterator<Item = (S, S)>) -> Self {
        for (name, value) in vars {
            let Some(key) = name.as_ref().to_str().and_then(|name| name.strip_prefix(prefix)) else {
                continue;
            };
            let key = key.to_ascii_lowercase().replace('_', ".");
            match value.as_ref().to_str() {
                Some(value) => self = self.set(key, value),
                None => self.problems.push(Problem::new(&key, None, "the environment variable's value is not UTF-8")),
            }
        }
        self
    }

    /// What a key was set to, if it was.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Whether it could be built.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn validate(&self) -> Result<(), ConfigError> {
        rules::check(self).map(drop)
    }

    /// Checks everything and fills in the defaults.
    ///
    /// # Errors
    /// Every problem at once: unknown and refused keys, malformed values, values that do not go together.
    pub fn build(self) -> Result<Config, ConfigError> {
        let mut config = rules::check(&self)?;
        if config.settings.client_id.is_empty() {
            let id = rules::next_client_id();
            if let Some((_, value)) = config.properties.iter_mut().find(|(key, _)| *key == "client.id") {
                value.clone_from(&id);
            }
            config.settings.client_id = id;
        }
        Ok(config)
    }

    /// That nothing was set, for whoever has a complete configuration already.
    pub(crate) fn must_be_empty(self) -> Result<(), ConfigError> {
        let why =
            "the producer's configuration is complete already: set this before it is built, or use Producer::builder()";
        let mut problems = self.problems;
        problems.extend(self.values.keys().map(|key| Problem::new(key, None, why)));
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::new(problems)) }
    }

    fn millis(self, key: &str, value: Duration) -> Self {
        let ms = value.as_nanos().div_ceil(1_000_000).min(i64::MAX as u128);
        // Typed callers mean "very long" where they pass more than the key's type holds.
        let most = match find(key).map(|spec| spec.kind) {
            Some(Kind::Millis(_, max)) => max as u128,
            _ => u128::MAX,
        };
        self.set(key, ms.min(most).to_string())
    }
}

/// Values may be secrets, also those of keys that are misspelt: only what a known key without a secret was set to is shown.
impl fmt::Debug for ConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str| keys().any(|spec| spec.name == name && spec.kind != Kind::Password);
        let values = self.values.iter().map(|(key, value)| (key, if shown(key) { value.as_str() } else { "[hidden]" }));
        f.debug_map().entries(values).finish()
    }
}

/// Typed methods: each sets one key.
macro_rules! setters {
    ($($(#[doc = $doc:literal])* $name:ident($value:ident: $type:ty) $key:literal = $set:expr;)*) => {
        impl ConfigBuilder {
            $(
                #[doc = concat!("Sets `", $key, "`.")]
                #[doc = ""]
                $(#[doc = $doc])*
                pub fn $name(self, $value: $type) -> Self {
                    let set: fn(Self, &'static str, $type) -> Self = $set;
                    set(self, $key, $value)
                }
            )*
        }
    };
}

setters! {
    /// Brokers to ask for the cluster's members, as `host:port`, separated by commas. Required.
    bootstrap_servers(servers: &str) "bootstrap.servers" = |b, k, v| b.set(k, v);
    /// The name under which brokers list, log and throttle this producer. Default `forebay-producer-N`.
    client_id(id: &str) "client.id" = |b, k, v| b.set(k, v);
    /// Who must have a record before it counts as delivered. Default all. Idempotence needs all: another value turns it off where
    /// it was not asked for, and is an error where it was.
    acks(acks: Acks) "acks" = |b, k, v| b.set(k, v.to_string());
    /// Each record is stored exactly once and in order, whatever is retried. Default true. Needs `acks=all`, `retries` above 0 and
    /// at most 5 requests in flight.
    enable_idempotence(on: bool) "enable.idempotence" = |b, k, v| b.set(k, v.to_string());
    /// All the memory for records, in bytes. Default 33,554,432. When it is full, a send waits at most `max.block.ms`.
    buffer_memory(bytes: usize) "buffer.memory" = |b, k, v| b.set(k, v.to_string());
    /// A partition that holds this many bytes is sent without waiting for `linger.ms`. Default 16,384. Batches still grow up to
    /// `batch.max.bytes` under backlog.
    batch_size(bytes: usize) "batch.size" = |b, k, v| b.set(k, v.to_string());
    /// The largest batch of several records, in bytes before compression. Default 1,000,000. This project's own key. Must leave room for a request's
    /// framing within `max.request.size`, and be under the broker's `max.message.bytes`.
    batch_max_bytes(bytes: usize) "batch.max.bytes" = |b, k, v| b.set(k, v.to_string());
    /// How batches are compressed. Default none. The levels are keys of their own, such as `compression.zstd.level`.
    compression(codec: CompressionType) "compression.type" = |b, k, v| b.set(k, v.to_string());
    /// gzip's level: 1 is quickest, 9 smallest. Default −1, which is 6. With `compression.type=gzip`.
    gzip_level(level: i32) "compression.gzip.level" = |b, k, v| b.set(k, v.to_string());
    /// lz4's level. Default 9, its fast compressor; any other from 1 to 17 is its thorough one. With `compression.type=lz4`.
    lz4_level(level: i32) "compression.lz4.level" = |b, k, v| b.set(k, v.to_string());
    /// zstd's level: −131,072 is quickest, 22 smallest. Default 3. With `compression.type=zstd`.
    zstd_level(level: i32) "compression.zstd.level" = |b, k, v| b.set(k, v.to_string());
    /// How many threads compress batches. Default 0: the I/O thread does. This project's own key.
    compression_threads(threads: usize) "io.compression.threads" = |b, k, v| b.set(k, v.to_string());
    /// How long a record may wait for others to share its batch. Default 5 ms. `batch.size`, `flush`, `close` and waiting senders
    /// end the wait early.
    linger(time: Duration) "linger.ms" = |b, k, v| b.millis(k, v);
    /// How long a send may wait for memory and metadata together. Default 60 s.
    max_block(time: Duration) "max.block.ms" = |b, k, v| b.millis(k, v);
    /// How many requests may be unanswered on one connection. Default 5, which is also the most with idempotence.
    max_in_flight(requests: usize) "max.in.flight.requests.per.connection" = |b, k, v| b.set(k, v.to_string());
    /// The largest Produce request and the largest record, in bytes. Default 1,048,576. Bounds `batch.max.bytes`.
    max_request_size(bytes: usize) "max.request.size" = |b, k, v| b.set(k, v.to_string());
    /// How long to wait for an answer before the connection is given up. Default 30 s. Part of the least `delivery.timeout.ms`.
    request_timeout(time: Duration) "request.timeout.ms" = |b, k, v| b.millis(k, v);
    /// How long after its send a record may be undelivered before it is reported as failed. Default 120 s. At least `linger.ms` and
    /// `request.timeout.ms` together.
    delivery_timeout(time: Duration) "delivery.timeout.ms" = |b, k, v| b.millis(k, v);
    /// How often a batch is retried at most. Default 2,147,483,647, which is also the most; 0 turns idempotence off.
    retries(times: u32) "retries" = |b, k, v| b.set(k, v.to_string());
    /// How long to wait before the first retry. Default 100 ms. Doubles up to `retry.backoff.max.ms`. After a lost connection the first
    /// retry waits for the next connection only (`reconnect.backoff.ms`).
    retry_backoff(time: Duration) "retry.backoff.ms" = |b, k, v| b.millis(k, v);
    /// The longest wait before a retry. Default 1 s. At least `retry.backoff.ms`.
    retry_backoff_max(time: Duration) "retry.backoff.max.ms" = |b, k, v| b.millis(k, v);
    /// How long to wait before connecting again. Default 50 ms. Doubles up to `reconnect.backoff.max.ms`.
    reconnect_backoff(time: Duration) "reconnect.backoff.ms" = |b, k, v| b.millis(k, v);
    /// The longest wait before connecting again. Default 1 s. At least `reconnect.backoff.ms`.
    reconnect_backoff_max(time: Duration) "reconnect.backoff.max.ms" = |b, k, v| b.millis(k, v);
    /// Metadata older than this is fetched again. Default 5 min.
    metadata_max_age(time: Duration) "metadata.max.age.ms" = |b, k, v| b.millis(k, v);
    /// A topic without records for this long is no longer fetched. Default 5 min, at least 5 s.
    metadata_max_idle(time: Duration) "metadata.max.idle.ms" = |b, k, v| b.millis(k, v);
    /// Ask `bootstrap.servers` again when the known brokers are of no help. Default true (`rebootstrap`); false is `none`.
    metadata_recovery(on: bool) "metadata.recovery.strategy" = |b, k, v| b.set(k, if v { "rebootstrap" } else { "none" });
    /// How long the known brokers may give no metadata before all of them are given up. Default 5 min.
    rebootstrap_trigger(time: Duration) "metadata.recovery.rebootstrap.trigger.ms" = |b, k, v| b.millis(k, v);
    /// A connection without traffic for this long is closed. Default 9 min; `Duration::MAX` never.
    connections_max_idle(time: Duration) "connections.max.idle.ms" = |b, k, v| b.millis(k, v);
    /// How long a connection may take to be set up. Default 10 s. Doubles up to `socket.connection.setup.timeout.max.ms`.
    connection_setup_timeout(time: Duration) "socket.connection.setup.timeout.ms" = |b, k, v| b.millis(k, v);
    /// The longest time a connection may take to be set up. Default 30 s.
    connection_setup_timeout_max(time: Duration) "socket.connection.setup.timeout.max.ms" = |b, k, v| b.millis(k, v);
    /// The socket's send buffer in bytes. Default 131,072; `None` leaves it to the operating system.
    send_buffer(bytes: Option<usize>) "send.buffer.bytes" = |b, k, v| b.set(k, v.map_or_else(|| "-1".to_owned(), |v| v.to_string()));
    /// The socket's receive buffer in bytes. Default 32,768; `None` leaves it to the operating system.
    receive_buffer(bytes: Option<usize>) "receive.buffer.bytes" = |b, k, v| b.set(k, v.map_or_else(|| "-1".to_owned(), |v| v.to_string()));
    /// Partition records with a key like those without. Default false.
    partitioner_ignore_keys(ignore: bool) "partitioner.ignore.keys" = |b, k, v| b.set(k, v.to_string());
    /// Records without a key go more often to partitions for which less is waiting. Default true.
    adaptive_partitioning(on: bool) "partitioner.adaptive.partitioning.enable" = |b, k, v| b.set(k, v.to_string());
    /// A broker that takes nothing for longer than this gets no records without a key. Default zero: it always does.
    availability_timeout(time: Duration) "partitioner.availability.timeout.ms" = |b, k, v| b.millis(k, v);
    /// How long the I/O thread polls for more work before it sleeps. Default 0; whole microseconds, at most a second. This project's
    /// own key, of use with `linger.ms=0`.
    io_spin(time: Duration) "io.spin.us" = |b, k, v| b.set(k, v.as_nanos().div_ceil(1_000).to_string());
    /// How many I/O threads there are: 1 (default) to 64. Partitions and `buffer.memory` are dealt out among them. This project's own key.
    io_threads(threads: usize) "io.threads" = |b, k, v| b.set(k, v.to_string());
    /// The CPU that the (first) I/O thread stays on, counted from 0. Default `None`: the system decides. This project's own key; Linux only.
    io_cpu(cpu: Option<usize>) "io.cpu" = |b, k, v| b.set(k, v.map_or_else(|| "-1".to_owned(), |v| v.to_string()));
    /// Locks the buffer in RAM. Default false. This project's own key; Unix only.
    memory_lock(lock: bool) "memory.lock" = |b, k, v| b.set(k, v.to_string());
    /// How long a sample of the metrics is. Default 30 s.
    metrics_sample_window(time: Duration) "metrics.sample.window.ms" = |b, k, v| b.millis(k, v);
    /// How many samples the metrics keep: averages, maxima, quantiles and rates are of these. Default 2.
    metrics_num_samples(samples: u32) "metrics.num.samples" = |b, k, v| b.set(k, v.to_string());
    /// How often the statistics callback gets the metrics as JSON. Default zero: never. At most a day.
    statistics_interval(time: Duration) "statistics.interval.ms" = |b, k, v| b.millis(k, v);
    /// How often the metrics go to the recorder of the `metrics` facade, with the Cargo feature of that name. Default 10 s; zero is
    /// never.
    metrics_publish_interval(time: Duration) "metrics.publish.interval.ms" = |b, k, v| b.millis(k, v);
    /// How connections are secured. Default PLAINTEXT.
    security_protocol(protocol: SecurityProtocol) "security.protocol" = |b, k, v| b.set(k, v.to_string());
    /// `https` (default): certificates must be for the host name. Nothing: any host's will do, which is not safe.
    ssl_endpoint_identification_algorithm(algorithm: &str) "ssl.endpoint.identification.algorithm" = |b, k, v| b.set(k, v);
    /// Versions of TLS, separated by commas. Default `TLSv1.2,TLSv1.3`.
    ssl_enabled_protocols(versions: &str) "ssl.enabled.protocols" = |b, k, v| b.set(k, v);
    /// The truststore's format: `PEM` (default) or `PKCS12`.
    ssl_truststore_type(format: &str) "ssl.truststore.type" = |b, k, v| b.set(k, v);
    /// The file with the certificates that are believed. Default: the system's.
    ssl_truststore_location(file: &str) "ssl.truststore.location" = |b, k, v| b.set(k, v);
    /// The certificates that are believed, as PEM text.
    ssl_truststore_certificates(pem: &str) "ssl.truststore.certificates" = |b, k, v| b.set(k, v);
    /// The password of a PKCS12 truststore.
    ssl_truststore_password(password: &str) "ssl.truststore.password" = |b, k, v| b.set(k, v);
    /// The keystore's format: `PEM` (default) or `PKCS12`.
    ssl_keystore_type(format: &str) "ssl.keystore.type" = |b, k, v| b.set(k, v);
    /// The file with our key and certificate chain. Default none.
    ssl_keystore_location(file: &str) "ssl.keystore.location" = |b, k, v| b.set(k, v);
    /// Our private key, as PEM text.
    ssl_keystore_key(pem: &str) "ssl.keystore.key" = |b, k, v| b.set(k, v);
    /// Our certificate chain, as PEM text.
    ssl_keystore_certificate_chain(pem: &str) "ssl.keystore.certificate.chain" = |b, k, v| b.set(k, v);
    /// The password of a PKCS12 keystore.
    ssl_keystore_password(password: &str) "ssl.keystore.password" = |b, k, v| b.set(k, v);
    /// The password of an encrypted PEM key.
    ssl_key_password(password: &str) "ssl.key.password" = |b, k, v| b.set(k, v);
    /// How the producer says who it is: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`.
    sasl_mechanism(mechanism: &str) "sasl.mechanism" = |b, k, v| b.set(k, v);
    /// The user name for PLAIN and SCRAM. librdkafka's name.
    sasl_username(name: &str) "sasl.username" = |b, k, v| b.set(k, v);
    /// The password for PLAIN and SCRAM. librdkafka's name.
    sasl_password(password: &str) "sasl.password" = |b, k, v| b.set(k, v);
    /// User name and password as the Java producer takes them.
    sasl_jaas_config(entry: &str) "sasl.jaas.config" = |b, k, v| b.set(k, v);
    /// Where the token for OAUTHBEARER comes from: a file, as a `file:` URL, or an endpoint, as an `https:` one.
    sasl_oauthbearer_token_endpoint_url(url: &str) "sasl.oauthbearer.token.endpoint.url" = |b, k, v| b.set(k, v);
    /// The client's id, for a token endpoint.
    sasl_oauthbearer_client_id(id: &str) "sasl.oauthbearer.client.credentials.client.id" = |b, k, v| b.set(k, v);
    /// The client's secret, for a token endpoint.
    sasl_oauthbearer_client_secret(secret: &str) "sasl.oauthbearer.client.credentials.client.secret" = |b, k, v| b.set(k, v);
    /// The scope that a token endpoint is asked for. Default none.
    sasl_oauthbearer_scope(scope: &str) "sasl.oauthbearer.scope" = |b, k, v| b.set(k, v);
    /// URL-encode the client's id and secret. Default false.
    sasl_oauthbearer_header_urlencode(encode: bool) "sasl.oauthbearer.header.urlencode" = |b, k, v| b.set(k, v.to_string());
    /// The PEM file with the certificates that are believed of a token endpoint. Default: the system's. librdkafka's name.
    https_ca_location(file: &str) "https.ca.location" = |b, k, v| b.set(k, v);
    /// For Amazon MSK with IAM: the region of the cluster. This project's own key.
    sasl_oauthbearer_aws_msk_region(region: &str) "sasl.oauthbearer.aws.msk.region" = |b, k, v| b.set(k, v);
    /// How long the connection to a token endpoint may take to be set up. Default 10 s.
    sasl_login_connect_timeout(time: Duration) "sasl.login.connect.timeout.ms" = |b, k, v| b.millis(k, v);
    /// How long a token endpoint may take to answer. Default 10 s.
    sasl_login_read_timeout(time: Duration) "sasl.login.read.timeout.ms" = |b, k, v| b.millis(k, v);
    /// How long to wait before a token endpoint is asked again. Default 100 ms. Doubles up to `sasl.login.retry.backoff.max.ms`.
    sasl_login_retry_backoff(time: Duration) "sasl.login.retry.backoff.ms" = |b, k, v| b.millis(k, v);
    /// The longest wait before a token endpoint is asked again. Default 10 s. At least `sasl.login.retry.backoff.ms`.
    sasl_login_retry_backoff_max(time: Duration) "sasl.login.retry.backoff.max.ms" = |b, k, v| b.millis(k, v);
    /// Ask the broker to create a topic that does not exist. Default true. librdkafka's name.
    allow_auto_create_topics(ask: bool) "allow.auto.create.topics" = |b, k, v| b.set(k, v.to_string());
}

#[cfg(test)]
mod tests {
    use super::ConfigBuilder;
    use std::ffi::OsStr;

    #[test]
    fn variables_with_the_prefix_are_keys() {
        let vars =
            [("FOREBAY_LINGER_MS", "7"), ("FOREBAY_BOOTSTRAP_SERVERS", "a:1"), ("OTHER_ACKS", "9"), ("PATH", "/bin")];
        let config = ConfigBuilder::new().env_from("FOREBAY_", vars).build().expect("valid");
        assert_eq!(config.linger().as_millis(), 7);
        assert_eq!(config.bootstrap_servers(), ["a:1"]);
    }

    #[test]
    fn misspelt_variables_are_errors() {
        let vars = [("FOREBAY_LINGERMS", "7"), ("FOREBAY_BOOTSTRAP_SERVERS", "a:1")];
        let error = ConfigBuilder::new().env_from("FOREBAY_", vars).build().expect_err("unknown");
        assert!(error.to_string().contains("linger.ms"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_text_is_a_problem() {
        use std::os::unix::ffi::OsStrExt as _;
        let vars = [(OsStr::new("F_LINGER_MS"), OsStr::from_bytes(&[0xff]))];
        let error = ConfigBuilder::new().bootstrap_servers("a:1").env_from("F_", vars).build().expect_err("not text");
        assert_eq!(error.problems().len(), 1);
        assert_eq!(error.problems()[0].key, "linger.ms");
    }
}
