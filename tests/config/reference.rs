//! The table of keys as it is printed.

use forebay::config::{ConfigBuilder, Kind, Standing, keys, reference_markdown, reference_properties, reference_text};
use std::path::Path;
use std::{env, fs};

/// Say `FOREBAY_BLESS=1` to write the page again.
#[test]
fn the_committed_page_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if env::var_os("FOREBAY_BLESS").is_some() {
        fs::write(&path, reference_markdown()).expect("writable");
    }
    let committed = fs::read_to_string(&path).expect("docs/configuration.md");
    assert_eq!(committed, reference_markdown(), "run: FOREBAY_BLESS=1 cargo test --test config");
}

#[test]
fn the_text_has_every_key_in_lines_that_fit() {
    let text = reference_text();
    for spec in keys() {
        assert!(text.contains(&format!("\n  {} = ", spec.name)), "{}", spec.name);
    }
}

#[test]
fn the_template_is_a_configuration_as_it_stands_and_with_every_line_taken_in() {
    let template = reference_properties();
    let file = super::TempFile::new(&template);
    // A request limit that is set holds for every request; one that is not lets them grow (`long_request_size`).
    let plain = ConfigBuilder::new().properties_file(&file.0).client_id("me").max_request_size(1_048_576);
    let plain = plain.build().expect("valid");
    let all: String = template
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(entry) if !entry.is_empty() && !entry.starts_with([' ', '-']) => format!("{entry}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let file = super::TempFile::new(&all);
    let builder = ConfigBuilder::new().properties_file(&file.0);
    for spec in keys().filter(|spec| matches!(spec.standing, Standing::Used)) {
        assert!(builder.value(spec.name).is_some(), "{} is not in the template", spec.name);
        assert!(spec.kind != Kind::Password || builder.value(spec.name) == Some(""), "{}", spec.name);
    }
    let all = builder.client_id("me").build().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(format!("{all:?}"), format!("{plain:?}"));
}
