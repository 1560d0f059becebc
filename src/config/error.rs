//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// One thing wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Problem {
    /// The key as it was written; for a source that could not be read, the source (a file's path).
    pub key: String,
    /// The value as it was written. `None` where there was none, and for secrets and unknown keys, whose values are never repeated.
    pub value: Option<String>,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl Problem {
    pub(super) fn new(key: &str, value: Option<&str>, message: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: value.map(str::to_owned), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value:?}: {}", self.key, self.message),
            None => write!(f, "{}: {}", self.key, self.message),
        }
    }
}

/// A configuration that cannot be used, with every reason why.
///
/// `Display` writes one line for each problem, each saying what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// `problems` must not be empty: an error says what is wrong.
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        debug_assert!(!problems.is_empty());
        Self { problems }
    }

    /// Every problem found, never empty, in the order of the keys' names; problems of several keys together come last.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(f, "the configuration has a problem:")?,
            n => write!(f, "the configuration has {n} problems:")?,
        }
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
