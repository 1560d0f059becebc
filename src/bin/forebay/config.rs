//! `forebay config`: the table of keys.

use crate::Failure;
use forebay::config::{reference_markdown, reference_text};
use std::io::{ErrorKind, Write as _};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// As the page docs/configuration.md.
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let text = if args.markdown { reference_markdown() } else { reference_text() };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has read enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::run),
    }
}
