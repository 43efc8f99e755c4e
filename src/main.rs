//! The `fieldgate` binary: arguments → `cli` → exit code.

use std::process::ExitCode;

use clap::Parser;
use fieldgate::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
