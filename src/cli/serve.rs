//! `fieldgate serve`: runs the gateway of a gateway file until it is told to stop.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use super::log::{self, Form, LogError};
use super::signals::{Asked, Signals};
use super::terminal::{self, Level};
use crate::app::{Running, StartError};
use crate::audit::JournalError;

/// Run the gateway
///
/// SIGHUP reads the gateway file and all that it names anew; where anything has a mistake, what ran before runs on.
/// SIGTERM and SIGINT let answers under way end and stop; a second one stops at once. The log goes to stderr as JSON
/// lines; FIELDGATE_LOG says what is logged (error, warn, info, debug).
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  fieldgate serve --config /etc/fieldgate/gateway.yaml
  FIELDGATE_LOG=warn fieldgate serve --config gateway.yaml")]
pub(super) struct Serve {
    /// The gateway file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Why a gateway did not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the system's threads, sockets or signals cannot be used")]
    System(#[source] io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the end of some answers is not in the audit trail")]
    Stop(#[source] JournalError),
    #[error("stopped at once: answers under way were cut off")]
    AtOnce,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        let served = log::start(Form::Json).map_err(ServeError::from).and_then(|()| {
            runtime()?.block_on(async {
                let mut signals = Signals::listen().map_err(ServeError::System)?;
                let running = start(&self.config, &mut signals).await?;
                match running {
                    Some(running) => until_stopped(running, &mut signals).await,
                    None => Ok(()),
                }
            })
        });
        tell(served)
    }
}

/// Starts a gateway; `None` where it was told to stop before it had started.
async fn start(config: &Path, signals: &mut Signals) -> Result<Option<Running>, ServeError> {
    tokio::select! {
        running = Running::start(config, Timestamp::now) => Ok(Some(running?)),
        () = signals.stop() => Ok(None),
    }
}

/// The runtime that a gateway runs in.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, ServeError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::System)
}

/// Reloads when told to, until the gateway is told to stop and has stopped.
pub(super) async fn until_stopped(mut running: Running, signals: &mut Signals) -> Result<(), ServeError> {
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                // A mistake is counted and logged, and the gateway runs on.
                Asked::Reload => drop(running.reload()),
                Asked::Stop => break,
            },
            error = running.failed() => return Err(error.into()),
        }
    }
    tokio::select! {
        stopped = running.stop() => stopped.map_err(ServeError::Stop),
        () = signals.stop() => Err(ServeError::AtOnce),
    }
}

/// Says what went wrong, and the exit code for it.
pub(super) fn tell(served: Result<(), ServeError>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let ServeError::Start(StartError::Mistakes(mistakes)) = &error {
                terminal::findings(Level::Error, mistakes);
            }
            terminal::complain(&error);
            ExitCode::FAILURE
        }
    }
}
