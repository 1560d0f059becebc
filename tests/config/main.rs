//! Configuration from every source, through the public API.

mod keys;
mod reference;
#[cfg(feature = "serde")]
mod serde;

use forebay::config::{Acks, CompressionType, Config, ConfigBuilder, ConfigError, SecurityProtocol, Standing, keys};
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, process};

fn with(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    ConfigBuilder::new().bootstrap_servers("localhost:9092").properties(pairs.iter().copied()).build()
}

#[track_caller]
fn good(pairs: &[(&str, &str)]) -> Config {
    with(pairs).unwrap_or_else(|error| panic!("{error}"))
}

/// The keys that are complained about.
#[track_caller]
fn bad(pairs: &[(&str, &str)]) -> Vec<String> {
    let error = with(pairs).expect_err("should be refused");
    assert!(!error.problems().is_empty());
    error.problems().iter().map(|problem| problem.key.clone()).collect()
}

#[test]
fn defaults_are_kafkas() {
    let config = good(&[]);
    assert_eq!(config.bootstrap_servers(), ["localhost:9092"]);
    assert_eq!(config.acks(), Acks::All);
    assert!(config.enable_idempotence());
    assert_eq!(config.buffer_memory(), 33_554_432);
    assert_eq!(config.batch_size(), 16_384);
    assert_eq!(config.batch_max_bytes(), 1_000_000);
    assert_eq!(config.linger(), Duration::from_millis(5));
    assert_eq!(config.max_block(), Duration::from_secs(60));
    assert_eq!(config.max_in_flight(), 5);
    assert_eq!(config.max_request_size(), 1_048_576);
    assert_eq!(config.request_timeout(), Duration::from_secs(30));
    assert_eq!(config.delivery_timeout(), Duration::from_secs(120));
    assert_eq!(config.retries(), 2_147_483_647);
    assert_eq!(config.retry_backoff(), Duration::from_millis(100));
    assert_eq!(config.retry_backoff_max(), Duration::from_secs(1));
    assert_eq!(config.reconnect_backoff(), Duration::from_millis(50));
    assert_eq!(config.reconnect_backoff_max(), Duration::from_secs(1));
    assert_eq!(config.metadata_max_age(), Duration::from_secs(300));
    assert_eq!(config.metadata_max_idle(), Duration::from_secs(300));
    assert_eq!(config.connections_max_idle(), Duration::from_secs(540));
    assert_eq!(config.connection_setup_timeout(), Duration::from_secs(10));
    assert_eq!(config.connection_setup_timeout_max(), Duration::from_secs(30));
    assert_eq!(config.send_buffer(), Some(131_072));
    assert_eq!(config.receive_buffer(), Some(32_768));
    assert!(!config.partitioner_ignore_keys());
    assert!(config.adaptive_partitioning());
    assert_eq!(config.availability_timeout(), Duration::ZERO);
    assert_eq!(config.io_spin(), Duration::ZERO);
    assert_eq!(config.io_threads(), 1);
    assert_eq!(config.io_cpu(), None);
    assert!(!config.memory_lock());
    assert!(config.allow_auto_create_topics());
    assert_eq!(config.adjustments(), []);
}

/// Keys in use that cannot stand beside the others: the store is a file or its contents.
const NOT_WITH_THE_OTHERS: [&str; 2] = ["ssl.truststore.certificates", "ssl.keystore.location"];

/// What the typed methods of the test below set, by name.
const NAMED: &[(&str, &str)] = &[
    ("bootstrap.servers", " a:1 , b:2,"),
    ("client.id", "me"),
    ("acks", "1"),
    ("enable.idempotence", "FALSE"),
    ("buffer.memory", "1048576"),
    ("batch.size", "2000"),
    ("batch.max.bytes", "3000"),
    ("compression.type", "GZIP"),
    ("compression.gzip.level", "4"),
    ("compression.lz4.level", "5"),
    ("compression.zstd.level", "-6"),
    ("io.compression.threads", "2"),
    ("linger.ms", "2"),
    ("max.block.ms", "9223372036854775807"),
    ("max.in.flight.requests.per.connection", "7"),
    ("max.request.size", "10000"),
    ("request.timeout.ms", "8"),
    ("delivery.timeout.ms", "2147483647"),
    ("retries", "9"),
    ("retry.backoff.ms", "10"),
    ("retry.backoff.max.ms", "11"),
    ("reconnect.backoff.ms", "12"),
    ("reconnect.backoff.max.ms", "13"),
    ("metadata.max.age.ms", "14"),
    ("metadata.max.idle.ms", "5015"),
    ("metadata.recovery.strategy", "None"),
    ("metadata.recovery.rebootstrap.trigger.ms", "21"),
    ("connections.max.idle.ms", "16"),
    ("socket.connection.setup.timeout.ms", "17"),
    ("socket.connection.setup.timeout.max.ms", "18"),
    ("send.buffer.bytes", "-1"),
    ("receive.buffer.bytes", "20"),
    ("partitioner.ignore.keys", "true"),
    ("partitioner.adaptive.partitioning.enable", "false"),
    ("partitioner.availability.timeout.ms", "24"),
    ("io.spin.us", "22"),
    ("io.threads", "4"),
    ("io.cpu", "3"),
    ("memory.lock", "true"),
    ("security.protocol", "ssl"),
    ("ssl.endpoint.identification.algorithm", ""),
    ("ssl.enabled.protocols", "TLSv1.3"),
    ("ssl.truststore.type", "pem"),
    ("ssl.truststore.location", "ca.pem"),
    ("ssl.truststore.password", "hunter2"),
    ("ssl.keystore.type", "pem"),
    ("ssl.keystore.key", "hunter2"),
    ("ssl.keystore.certificate.chain", "hunter2"),
    ("ssl.keystore.password", "hunter2"),
    ("ssl.key.password", "hunter2"),
    ("sasl.mechanism", ""),
    ("sasl.username", ""),
    ("sasl.password", ""),
    ("sasl.jaas.config", ""),
    ("sasl.oauthbearer.token.endpoint.url", ""),
    ("sasl.oauthbearer.client.credentials.client.id", ""),
    ("sasl.oauthbearer.client.credentials.client.secret", ""),
    ("sasl.oauthbearer.scope", ""),
    ("sasl.oauthbearer.header.urlencode", "true"),
    ("https.ca.location", ""),
    ("sasl.oauthbearer.aws.msk.region", ""),
    ("sasl.login.connect.timeout.ms", "23"),
    ("sasl.login.read.timeout.ms", "24"),
    ("sasl.login.retry.backoff.ms", "25"),
    ("sasl.login.retry.backoff.max.ms", "26"),
    ("allow.auto.create.topics", "false"),
    ("metrics.sample.window.ms", "23"),
    ("metrics.num.samples", "24"),
    ("statistics.interval.ms", "25"),
    ("metrics.publish.interval.ms", "26"),
];

#[test]
fn typed_methods_set_what_the_names_set() {
    let typed = ConfigBuilder::new()
        .bootstrap_servers("a:1,b:2")
        .client_id("me")
        .acks(Acks::Leader)
        .enable_idempotence(false)
        .buffer_memory(1 << 20)
        .batch_size(2_000)
        .batch_max_bytes(3_000)
        .compression(CompressionType::Gzip)
        .gzip_level(4)
        .lz4_level(5)
        .zstd_level(-6)
        .compression_threads(2)
        .linger(Duration::from_micros(1_500))
        .max_block(Duration::MAX)
        .max_in_flight(7)
        .max_request_size(10_000)
        .request_timeout(Duration::from_millis(8))
        .delivery_timeout(Duration::MAX)
        .retries(9)
        .retry_backoff(Duration::from_millis(10))
        .retry_backoff_max(Duration::from_millis(11))
        .reconnect_backoff(Duration::from_millis(12))
        .reconnect_backoff_max(Duration::from_millis(13))
        .metadata_max_age(Duration::from_millis(14))
        .metadata_max_idle(Duration::from_millis(5_015))
        .metadata_recovery(false)
        .rebootstrap_trigger(Duration::from_millis(21))
        .connections_max_idle(Duration::from_millis(16))
        .connection_setup_timeout(Duration::from_millis(17))
        .connection_setup_timeout_max(Duration::from_millis(18))
        .send_buffer(None)
        .receive_buffer(Some(20))
        .partitioner_ignore_keys(true)
        .adaptive_partitioning(false)
        .availability_timeout(Duration::from_millis(24))
        .io_spin(Duration::from_micros(22))
        .io_threads(4)
        .io_cpu(Some(3))
        .memory_lock(true)
        .security_protocol(SecurityProtocol::Ssl)
        .ssl_endpoint_identification_algorithm("")
        .ssl_enabled_protocols("TLSv1.3")
        .ssl_truststore_type("PEM")
        .ssl_truststore_location("ca.pem")
        .ssl_truststore_password("hunter2")
        .ssl_keystore_type("PEM")
        .ssl_keystore_key("hunter2")
        .ssl_keystore_certificate_chain("hunter2")
        .ssl_keystore_password("hunter2")
        .ssl_key_password("hunter2")
        .sasl_mechanism("")
        .sasl_username("")
        .sasl_password("")
        .sasl_jaas_config("")
        .sasl_oauthbearer_token_endpoint_url("")
        .sasl_oauthbearer_client_id("")
        .sasl_oauthbearer_client_secret("")
        .sasl_oauthbearer_scope("")
        .sasl_oauthbearer_header_urlencode(true)
        .https_ca_location("")
        .sasl_oauthbearer_aws_msk_region("")
        .sasl_login_connect_timeout(Duration::from_millis(23))
        .sasl_login_read_timeout(Duration::from_millis(24))
        .sasl_login_retry_backoff(Duration::from_millis(25))
        .sasl_login_retry_backoff_max(Duration::from_millis(26))
        .allow_auto_create_topics(false)
        .metrics_sample_window(Duration::from_millis(23))
        .metrics_num_samples(24)
        .statistics_interval(Duration::from_millis(25))
        .metrics_publish_interval(Duration::from_millis(26))
        .build()
        .expect("valid");
    let named = Config::from_map(NAMED.iter().copied()).expect("valid");
    assert_eq!(format!("{typed:?}"), format!("{named:?}"));
    assert!(!format!("{named:?}").contains("hunter2"), "{named:?}");
    assert_eq!(named.max_in_flight(), 7);
    assert_eq!(named.io_spin(), Duration::from_micros(22));
    for spec in keys().filter(|spec| matches!(spec.standing, Standing::Used)) {
        let held = NAMED.iter().any(|(name, _)| *name == spec.name) || NOT_WITH_THE_OTHERS.contains(&spec.name);
        assert!(held, "{} needs its typed method and its line in this test", spec.name);
    }
}

#[test]
fn io_threads_that_leave_each_too_little_memory_are_a_problem_that_says_how_much_is_enough() {
    let config = |threads: usize, memory: usize| {
        ConfigBuilder::new().bootstrap_servers("a:1").io_threads(threads).buffer_memory(memory).build()
    };
    let error = config(4, 4 * 65_536 - 1).expect_err("too little").to_string();
    assert!(error.contains("io.threads") && error.contains("buffer.memory to at least 262144"), "{error}");
    let config = config(4, 4 * 65_536).expect("just enough");
    assert_eq!(config.io_threads(), 4);
    for threads in [0, 65] {
        let error =
            ConfigBuilder::new().bootstrap_servers("a:1").io_threads(threads).build().expect_err("too few or many");
        assert_eq!(error.problems()[0].key, "io.threads");
    }
}

#[test]
fn long_requests_are_a_share_of_one_io_threads_memory() {
    let long = |threads: usize| {
        let config = ConfigBuilder::new().bootstrap_servers("a:1").io_threads(threads).buffer_memory(32 << 20).build();
        config.expect("valid").long_request_size()
    };
    assert_eq!((long(1), long(4)), ((32 << 20) / 5, (8 << 20) / 5));
}

#[test]
fn all_problems_are_reported_at_once() {
    let error = ConfigBuilder::new()
        .set("linger.ms", "5ms")
        .set("acks", "2")
        .set("lingerms", "5")
        .set("transactional.id", "x")
        .properties_file("/nonexistent/producer.properties")
        .build()
        .expect_err("five mistakes and no server");
    let text = error.to_string();
    for part in [
        "6 problems",
        "linger.ms = \"5ms\": must be a whole number of milliseconds",
        "acks = \"2\": must be one of all, -1, 1, 0",
        "lingerms: no such key. Did you mean linger.ms?",
        "transactional.id = \"x\": this version has no transactions",
        "/nonexistent/producer.properties: the properties file cannot be read",
        "bootstrap.servers: must name at least one broker",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert_eq!(text.lines().count(), 7);
}

#[test]
fn ranges_are_kept_and_errors_say_them() {
    let error = with(&[
        ("max.block.ms", "-1"),
        ("retries", "2147483648"),
        ("batch.size", "1.5"),
        ("enable.idempotence", "yes"),
    ]);
    let text = error.expect_err("four mistakes").to_string();
    for part in ["the least is 0 milliseconds", "the most is 2147483647", "whole number of bytes", "true or false"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn connections_are_not_closed_as_soon_as_they_are_opened() {
    assert_eq!(bad(&[("connections.max.idle.ms", "0")]), ["connections.max.idle.ms"]);
    good(&[("connections.max.idle.ms", "-1")]);
}

#[test]
fn idempotence_gives_way_unless_it_was_asked_for() {
    for (key, value) in [("acks", "1"), ("acks", "0"), ("retries", "0")] {
        let config = good(&[(key, value)]);
        assert!(!config.enable_idempotence());
        assert_eq!(config.adjustments().iter().map(|a| a.key).collect::<Vec<_>>(), ["enable.idempotence"]);
        assert_eq!(bad(&[(key, value), ("enable.idempotence", "true")]), ["enable.idempotence"]);
        assert!(good(&[(key, value), ("enable.idempotence", "false")]).adjustments().is_empty());
    }
    assert_eq!(bad(&[("max.in.flight.requests.per.connection", "6")]), ["max.in.flight.requests.per.connection"]);
    good(&[("max.in.flight.requests.per.connection", "6"), ("enable.idempotence", "false")]);
    good(&[("max.in.flight.requests.per.connection", "6"), ("acks", "1")]);
    assert!(good(&[("acks", "-1"), ("enable.idempotence", "true")]).enable_idempotence());
}

#[test]
fn the_delivery_timeout_covers_linger_and_one_request() {
    let config = good(&[("request.timeout.ms", "120000")]);
    assert_eq!(config.delivery_timeout(), Duration::from_millis(120_005));
    assert_eq!(bad(&[("request.timeout.ms", "120000"), ("delivery.timeout.ms", "120000")]), ["delivery.timeout.ms"]);
    assert_eq!(
        good(&[("request.timeout.ms", "119995"), ("delivery.timeout.ms", "120000")]).delivery_timeout().as_secs(),
        120
    );
}

#[test]
fn batches_fit_requests() {
    let config = good(&[("max.request.size", "100000"), ("client.id", "1234")]);
    assert_eq!(config.batch_max_bytes(), 100_000 - 512 - 4);
    assert_eq!(bad(&[("max.request.size", "100000"), ("batch.max.bytes", "100000")]), ["batch.max.bytes"]);
    let config = good(&[("batch.size", "2000000"), ("max.request.size", "3000000")]);
    assert_eq!((config.batch_size(), config.batch_max_bytes()), (2_000_000, 2_000_000));
    let config = good(&[("batch.size", "2000000"), ("batch.max.bytes", "5000")]);
    assert_eq!((config.batch_size(), config.batch_max_bytes()), (5_000, 5_000));
}

#[test]
fn the_longest_wait_is_never_shorter_than_the_first() {
    assert_eq!(good(&[("retry.backoff.ms", "5000")]).retry_backoff_max(), Duration::from_secs(5));
    assert_eq!(good(&[("reconnect.backoff.max.ms", "10")]).reconnect_backoff(), Duration::from_millis(10));
    assert_eq!(bad(&[("retry.backoff.ms", "5"), ("retry.backoff.max.ms", "4")]), ["retry.backoff.ms"]);
    assert_eq!(good(&[("connections.max.idle.ms", "-1")]).connections_max_idle().as_secs(), 3_153_600_000);
}

#[test]
fn each_producer_gets_its_own_client_id() {
    let (first, second) = (good(&[]), good(&[("client.id", " ")]));
    assert!(first.client_id().starts_with("forebay-producer-"), "{}", first.client_id());
    assert_ne!(first.client_id(), second.client_id());
    assert_eq!(good(&[("client.id", "mine")]).client_id(), "mine");
}

#[test]
fn bootstrap_servers_are_checked_one_by_one() {
    assert_eq!(bad(&[("bootstrap.servers", "a:1,b,c:0,d:2")]), ["bootstrap.servers"; 2]);
    assert_eq!(bad(&[("bootstrap.servers", " , ")]), ["bootstrap.servers"]);
    assert_eq!(good(&[("bootstrap.servers", "PLAINTEXT://a:1,[::1]:2")]).bootstrap_servers(), ["a:1", "[::1]:2"]);
}

#[test]
fn secrets_are_never_repeated() {
    let builder = ConfigBuilder::new()
        .set("sasl.jaas.config", "password=hunter2")
        .set("ssl.keystore.passwort", "hunter2")
        .set("ssl.key.password", "hunter2");
    assert!(!format!("{builder:?}").contains("hunter2"));
    let error = builder.build().expect_err("refused");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[test]
fn a_properties_file_is_read_as_java_reads_it() {
    let path = TempFile::new("# a comment\nbootstrap.servers = a:1,\\\n    b:2\nclient.id: caf\\u00e9\nlinger.ms 7\n");
    let config = Config::from_properties_file(&path.0).expect("valid");
    assert_eq!(config.bootstrap_servers(), ["a:1", "b:2"]);
    assert_eq!(config.client_id(), "café");
    assert_eq!(config.linger(), Duration::from_millis(7));
    let later = ConfigBuilder::new().properties_file(&path.0).linger(Duration::ZERO).build().expect("valid");
    assert_eq!(later.linger(), Duration::ZERO);
}

#[test]
fn a_malformed_properties_file_names_the_line() {
    let path = TempFile::new("bootstrap.servers=a:1\nclient.id=\\u12\n");
    let error = Config::from_properties_file(&path.0).expect_err("malformed");
    assert!(error.to_string().contains("line 2: malformed \\u escape"), "{error}");
}

struct TempFile(PathBuf);

impl TempFile {
    fn new(text: &str) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("forebay-config-{}-{}.properties", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::write(&path, text).expect("temporary file");
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
