//! `forebay config`, as a user runs it.

#![cfg(feature = "cli")]

#[allow(dead_code)] // what this file does not need of it
#[path = "support/cli.rs"]
mod cli;

use forebay::config::{Config, keys};
use serde_json::Value;
use std::process::Output;

fn config(arguments: &[&str]) -> Output {
    cli::forebay(&[&["config"], arguments].concat(), b"")
}

#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let done = config(arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8")
}

#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let done = config(arguments);
    assert_eq!(done.status.code(), Some(2));
    assert_eq!(done.stdout, b"");
    String::from_utf8(done.stderr).expect("UTF-8")
}

#[test]
fn the_table_comes_as_text_markdown_and_a_template() {
    assert_eq!(printed(&[]), forebay::config::reference_text());
    assert_eq!(printed(&["--format", "text"]), forebay::config::reference_text());
    assert_eq!(printed(&["--format", "markdown"]), forebay::config::reference_markdown());
    assert_eq!(printed(&["--format", "properties"]), forebay::config::reference_properties());
    assert!(refused(&["--format", "yaml"]).contains("properties"));
}

#[test]
fn the_table_comes_as_json_with_types_and_ranges() {
    let table: Value = serde_json::from_str(&printed(&["--format", "json"])).expect("JSON");
    let rows = table.as_array().expect("a list");
    assert_eq!(rows.len(), keys().count());
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).expect("a row");
    let linger = row("linger.ms");
    assert_eq!((&linger["type"], &linger["min"], &linger["default"]), (&"milliseconds".into(), &0.into(), &"5".into()));
    assert_eq!(linger["standing"], "used");
    assert_eq!(row("acks")["values"], serde_json::json!(["all", "-1", "1", "0"]));
    assert_eq!(row("batch.max.bytes")["origin"], "forebay");
    assert_eq!(row("transactional.id")["standing"], "refused");
    assert!(row("transactional.id")["reason"].as_str().is_some_and(|why| why.contains("no transactions")));
    for row in rows {
        assert!(row["doc"].is_string() || row["reason"].is_string(), "{row} says nothing");
    }
}

#[test]
fn a_configuration_is_checked_and_printed_as_it_would_be_in_force() {
    let given = ["--bootstrap-server", "a:1", "-X", "acks=1", "-X", "ssl.key.password=hunter2", "-X", "client.id=a\\b"];
    let text = printed(&given);
    assert!(text.contains("acks = 1\n") && text.contains("enable.idempotence = false\n"), "{text}");
    assert!(text.contains("linger.ms = 5\n") && !text.contains("hunter2"), "{text}");

    let json: Value = serde_json::from_str(&printed(&[&given[..], &["--format", "json"]].concat())).expect("JSON");
    assert_eq!(json["client.id"], "a\\b");

    let file = std::env::temp_dir().join(format!("forebay-cli-config-{}.properties", std::process::id()));
    std::fs::write(&file, printed(&[&given[..], &["--format", "properties"]].concat())).expect("writable");
    let back = Config::from_properties_file(&file).expect("valid");
    std::fs::remove_file(&file).expect("there");
    assert_eq!((back.client_id(), back.enable_idempotence()), ("a\\b", false));
    assert_eq!(back.adjustments(), []);
}

#[test]
fn a_configuration_with_mistakes_is_refused_with_all_of_them() {
    let text = refused(&["-X", "message.timeout.ms=5", "-X", "acks=7"]);
    for part in ["3 problems", "delivery.timeout.ms", "acks", "bootstrap.servers"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    assert!(refused(&["--bootstrap-server", "a:1", "--format", "markdown"]).contains("json or properties"));
}
