//! `forebay completions` and `forebay man`: both are made from the command line's own declaration, so they cannot lag behind it.

use crate::{Cli, Failure};
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::{fs, io};

#[derive(clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(clap::Args)]
pub(crate) struct ManArgs {
    /// A folder for forebay.1 and a page for each command (forebay-perf.1, …); it is made if it is not there.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(&Cli::command()), "forebay", &mut script);
    write_out(&script)
}

/// What of a command is to be shown: the generators offer hidden options as well.
fn visible(command: &Command) -> Command {
    let mut shown = Command::new(command.get_name().to_owned())
        .args(command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned())
        .subcommands(command.get_subcommands().filter(|command| !command.is_hide_set()).map(visible));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(version.to_owned());
    }
    shown
}

pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    // Gives the commands their full names.
    command.build();
    let Some(dir) = &args.dir else {
        return write_out(&page(command)?);
    };
    let cannot =
        |path: &PathBuf, error: &io::Error| Failure::Run(format!("{} cannot be written: {error}", path.display()));
    fs::create_dir_all(dir).map_err(|error| cannot(dir, &error))?;
    let commands: Vec<_> = command.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    for command in commands.into_iter().chain([command]) {
        let path = dir.join(format!("{}.1", command.get_display_name().unwrap_or_else(|| command.get_name())));
        fs::write(&path, page(command)?).map_err(|error| cannot(&path, &error))?;
    }
    Ok(())
}

fn page(command: Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(Failure::run)?;
    Ok(page)
}

fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // Whoever reads has read enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::run),
    }
}
