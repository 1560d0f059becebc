//! Through serde: in, checked like every source, and out without secrets.

use super::NAMED;
use forebay::config::{Config, ConfigBuilder, Kind, Standing, keys};
use serde_json::{Value, json};
use std::time::Duration;

fn built(value: Value) -> Config {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(value: Value) -> String {
    serde_json::from_value::<Config>(value).expect_err("should be refused").to_string()
}

#[test]
fn a_map_may_be_flat_nested_or_both() {
    let config = built(json!({
        "bootstrap": { "servers": ["a:1", "b:2"] },
        "linger.ms": 20,
        "retry": { "backoff": { "ms": 50, "max.ms": "60" }, "backoff.max": {} },
        "enable.idempotence": false,
        "acks": 1,
        "client.id": null,
    }));
    assert_eq!(config.bootstrap_servers(), ["a:1", "b:2"]);
    assert_eq!(config.linger(), Duration::from_millis(20));
    assert_eq!((config.retry_backoff().as_millis(), config.retry_backoff_max().as_millis()), (50, 60));
    assert_eq!(config.acks().code(), 1);
    assert!(config.client_id().starts_with("forebay-producer-"), "null leaves a key alone");
}

#[test]
fn what_is_wrong_is_said_all_at_once_as_from_every_source() {
    let text = refused(json!({ "linger": { "ms": 1.5 }, "acks": 7, "queue": { "buffering": { "max.ms": 5 } } }));
    for part in [
        "4 problems",
        "linger.ms = \"1.5\": must be a whole number",
        "acks = \"7\"",
        "queue.buffering.max.ms: no such key. librdkafka's name for linger.ms",
        "bootstrap.servers",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn a_key_that_is_there_twice_is_a_problem() {
    let text = refused(json!({ "bootstrap.servers": "a:1", "linger.ms": 5, "linger": { "ms": 6 } }));
    assert!(text.contains("linger.ms: is there twice"), "{text}");
}

#[test]
fn what_is_no_map_of_values_is_an_error() {
    assert!(refused(json!([1])).contains("a map of configuration keys"));
    assert!(refused(json!({ "bootstrap.servers": [["a:1"], {}] })).contains("a list in a configuration"));
}

#[test]
fn out_go_all_values_in_force_and_back_they_are_the_same() {
    let config = Config::from_map(NAMED.iter().copied()).expect("valid");
    let out = serde_json::to_value(&config).expect("serialises");
    let text = out.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    let map = out.as_object().expect("a map").clone();
    for spec in keys().filter(|spec| matches!(spec.standing, Standing::Used)) {
        assert_eq!(map.contains_key(spec.name), spec.kind != Kind::Password, "{}", spec.name);
    }
    let mut back = ConfigBuilder::new();
    for (key, value) in NAMED.iter().filter(|(key, _)| !map.contains_key(*key)) {
        back = back.set(*key, *value); // the secrets come from elsewhere
    }
    for (key, value) in map {
        back = back.set(key, value.as_str().expect("text"));
    }
    assert_eq!(shown(&back.build().expect("valid")), shown(&config));
}

#[test]
fn defaults_that_gave_way_go_out_as_they_are() {
    let config = built(json!({ "bootstrap.servers": "a:1", "acks": "1", "request.timeout.ms": 200_000 }));
    let out = serde_json::to_value(&config).expect("serialises");
    assert_eq!(out["enable.idempotence"], "false");
    assert_eq!(out["delivery.timeout.ms"], "200005");
    assert_eq!(out["client.id"], config.client_id());
    assert_eq!(out["buffer.memory"], "33554432");
    assert_eq!(built(out).adjustments(), []);
}

#[test]
fn a_builder_goes_out_as_it_was_set_without_secrets() {
    let builder = ConfigBuilder::new().set("linger.ms", " 7").set("ssl.key.password", "hunter2");
    assert_eq!(serde_json::to_value(&builder).expect("serialises"), json!({ "linger.ms": " 7" }));
    let misspelt = ConfigBuilder::new().set("ssl.key.passwort", "hunter2");
    let error = serde_json::to_value(&misspelt).expect_err("no such key").to_string();
    assert!(error.contains("ssl.key.password") && !error.contains("hunter2"), "{error}");
}

/// All of a configuration but what was adjusted to get there.
fn shown(config: &Config) -> String {
    let text = format!("{config:?}");
    text.split("adjustments:").next().unwrap_or_default().to_owned()
}
