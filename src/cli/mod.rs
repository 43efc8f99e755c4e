//! The command line: one file a command.
//!
//! A command reads the clock, the files and the environment, so that what it calls need not. Exit code 0 means done, 1
//! that it could not be done or that something is wrong, 2 that the command line was not understood.

pub mod audit;
mod policy_file;
mod redact;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Redact(redact::Redact),
    Audit(audit::Audit),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Redact(redact) => redact.run(),
            Command::Audit(audit) => audit.run(),
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
