//! Why the program does not end with success, and the exit status that says so.

use std::fmt::{self, Display, Formatter};
use std::process::ExitCode;

/// What the exit statuses mean; `forebay --help` and the man page show it.
pub(crate) const EXIT_CODES: &str = "\
Exit status:
  0    everything was done: every record was acknowledged
  1    something failed while running: a record was not acknowledged, a file could not be read
  2    the command line or the configuration is wrong; nothing was sent
  3    no broker could be reached, or none lets this client in or knows the topic; nothing was sent
  130  perf or produce was interrupted (ctrl-C, SIGINT); what was on its way was waited for
  143  the same for SIGTERM";

/// Why the program does not end with success. The text goes to standard error.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit status 2: the command line or the configuration.
    Usage(String),
    /// Exit status 3: the cluster, before anything was sent.
    Cluster(String),
    /// Exit status 1: anything later.
    Run(String),
    /// Exit status 128 and the number of the signal, as a shell says it.
    Signal(i32, String),
}

impl Failure {
    pub(crate) fn run(error: impl Display) -> Self {
        Self::Run(error.to_string())
    }

    pub(crate) fn usage(error: impl Display) -> Self {
        Self::Usage(error.to_string())
    }

    pub(crate) fn cluster(error: impl Display) -> Self {
        Self::Cluster(error.to_string())
    }

    /// A producer that could not be made: most reasons lie in its settings or in the files that they name.
    pub(crate) fn build(error: forebay::BuildError) -> Self {
        match error {
            forebay::BuildError::Config(_)
            | forebay::BuildError::Tls(_)
            | forebay::BuildError::TokenEndpoint(_)
            | forebay::BuildError::NoToken => Self::usage(error),
            _ => Self::run(error),
        }
    }

    /// The exit status.
    pub(crate) fn status(&self) -> i32 {
        match self {
            Self::Run(_) => 1,
            Self::Usage(_) => 2,
            Self::Cluster(_) => 3,
            Self::Signal(signal, _) => 128 + signal,
        }
    }

    /// Says it on standard error.
    pub(crate) fn tell(&self) {
        match self {
            Self::Signal(..) => eprintln!("{self}"),
            _ => eprintln!("error: {self}"),
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) | Self::Cluster(why) | Self::Run(why) => f.write_str(why),
            Self::Signal(_, what) => write!(f, "interrupted: {what}"),
        }
    }
}

impl From<&Failure> for ExitCode {
    fn from(failure: &Failure) -> Self {
        Self::from(u8::try_from(failure.status()).unwrap_or(1))
    }
}
