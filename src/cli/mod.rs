//! The command line: one file a command.
//!
//! A command reads the clock, the files and the environment, so that what it calls need not. Exit code 0 means done, 1
//! that it could not be done or that something is wrong, 2 that the command line was not understood.

pub mod audit;
pub mod check;
mod conformance;
#[cfg(feature = "demo")]
mod demo;
pub mod explain;
mod gateway_file;
mod log;
mod policy_file;
mod ready;
mod redact;
mod serve;
mod signals;
mod terminal;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::fhir::Definitions;

/// Lets each caller of a FHIR or JSON API see only the fields its task needs
#[derive(Debug, Parser)]
#[command(name = "fieldgate", version, arg_required_else_help = true)]
#[command(after_help = "Start with `fieldgate demo`: a whole working gateway with synthetic patients and no set-up.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    Serve(serve::Serve),
    Check(check::Check),
    Redact(redact::Redact),
    Explain(explain::Explain),
    Conformance(conformance::Conformance),
    Audit(audit::Audit),
    Ready(ready::Ready),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.command {
            #[cfg(feature = "demo")]
            Command::Demo(demo) => demo.run(),
            Command::Serve(serve) => serve.run(),
            Command::Check(check) => run_check(&check),
            Command::Redact(redact) => redact.run(),
            Command::Explain(explain) => run_explain(&explain),
            Command::Conformance(conformance) => conformance.run(),
            Command::Audit(audit) => audit.run(),
            Command::Ready(ready) => ready.run(),
        }
    }
}

fn run_check(check: &check::Check) -> ExitCode {
    let now = Timestamp::now();
    let today = now.to_zoned(TimeZone::UTC).date();
    let definitions = Definitions::r4();
    let check_config = |path: &Path| gateway_file::check(path, &definitions, now, today);
    finish(check.run(&definitions, today, check_config, &mut anstream::stdout().lock()))
}

fn run_explain(explain: &explain::Explain) -> ExitCode {
    finish(explain.run(&Definitions::r4(), &mut anstream::stdout().lock(), &mut anstream::stderr().lock()))
}

/// The exit code of what wrote to stdout; `false` of it and what failed are exit code 1.
fn finish(done: io::Result<bool>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // A reader that has seen enough, such as `head`, is told nothing.
            if error.kind() != io::ErrorKind::BrokenPipe {
                terminal::complain(&error);
            }
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_of_all_commands_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            for command in command.get_subcommands() {
                if command.has_subcommands() {
                    check(command);
                    continue;
                }
                let help = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
                assert!(help.is_some_and(|help| help.contains("  fieldgate ")), "{}", command.get_name());
            }
        }
        check(&Cli::command());
    }
}
