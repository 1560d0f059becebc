//! The table of keys against Kafka's own list.

use super::{good, with};
use forebay::config::{Kind, Origin, Standing, keys};
use std::collections::{BTreeMap, BTreeSet};

/// Name, type and default of each key, read from kafka-clients itself.
const KAFKAS: &str = include_str!("kafka-4.2.txt");

/// Keys with another default than Kafka's, each for a reason that its row in the table says.
const OTHER_DEFAULTS: [(&str, &str); 5] = [
    ("sasl.login.connect.timeout.ms", "10000"), // Java waits for ever
    ("sasl.login.read.timeout.ms", "10000"),    // as above
    ("sasl.mechanism", ""),                     // Kerberos is not spoken: whoever uses SASL names a mechanism
    ("ssl.keystore.type", "PEM"),               // Java's own format is not read
    ("ssl.truststore.type", "PEM"),             // as above
];

fn kafkas() -> BTreeMap<&'static str, (&'static str, &'static str)> {
    let rows = KAFKAS.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let mut words = line.splitn(3, ' ');
        let mut next = || words.next().unwrap_or_default();
        (next(), (next(), next()))
    })
    .collect()
}

#[test]
fn every_key_of_kafkas_producer_is_in_the_table_once_and_no_other_says_that_it_is_kafkas() {
    let theirs = kafkas();
    assert_eq!(theirs.len(), 113);
    let names: Vec<_> = keys().map(|spec| spec.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a key is there twice");
    let ours: BTreeSet<_> = keys().filter(|spec| spec.origin == Origin::Kafka).map(|spec| spec.name).collect();
    assert_eq!(ours, theirs.keys().copied().collect());
}

#[test]
fn types_and_defaults_are_kafkas() {
    let theirs = kafkas();
    for spec in keys().filter(|spec| spec.origin == Origin::Kafka) {
        let (kind, default) = theirs[spec.name];
        let default = if default == "<required>" { "" } else { default };
        match OTHER_DEFAULTS.iter().find(|(name, _)| *name == spec.name) {
            Some((_, other)) => assert_eq!(spec.default, *other, "{}", spec.name),
            None => assert_eq!(spec.default, default, "{}", spec.name),
        }
        let right = match spec.kind {
            Kind::Bool => kind == "BOOLEAN",
            Kind::Int(..) | Kind::Bytes(..) | Kind::Millis(..) | Kind::Micros(..) => {
                matches!(kind, "INT" | "LONG" | "SHORT")
            }
            Kind::Double => kind == "DOUBLE",
            Kind::Choice(_) | Kind::Text => kind == "STRING" || (kind == "INT" && default.is_empty()),
            Kind::List => kind == "LIST",
            Kind::Class => kind == "CLASS",
            // A URL may hold a password.
            Kind::Password => kind == "PASSWORD" || spec.name == "sasl.oauthbearer.token.endpoint.url",
            _ => false,
        };
        assert!(right, "{} is {kind} in Kafka and {:?} here", spec.name, spec.kind);
    }
}

#[test]
fn every_key_says_what_it_does_and_every_default_of_a_used_one_is_accepted() {
    for spec in keys() {
        if let Standing::Used = spec.standing {
            assert!(!spec.doc.is_empty(), "{}", spec.name);
            if spec.name != "bootstrap.servers" {
                good(&[(spec.name, spec.default)]);
            }
        }
    }
}

#[test]
fn every_key_without_use_is_accepted_limited_or_refused_with_the_reason() {
    for spec in keys() {
        match spec.standing {
            Standing::Used => {}
            Standing::Accepted(what) => {
                assert!(!what.is_empty(), "{}", spec.name);
                good(&[(spec.name, spec.default)]);
            }
            Standing::Only(values, why) => {
                for value in values {
                    good(&[(spec.name, value)]);
                }
                let error = with(&[(spec.name, "something-else")]).expect_err(spec.name);
                assert!(error.to_string().contains(why), "{error}");
            }
            Standing::Refused(why) => {
                let error = with(&[(spec.name, "something")]).expect_err(spec.name);
                assert!(error.to_string().contains(why), "{error}");
            }
            _ => panic!("{} has a standing this test does not know", spec.name),
        }
    }
}
