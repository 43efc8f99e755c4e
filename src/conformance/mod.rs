//! The conformance suite: holds any FHIR server or gateway to the ways around a field filter that can be tried from outside.
//!
//! An operator says in a spec what a caller must see of some test patients and what not. From the FHIR tables follow the
//! requests by which it could come out all the same, and each answer is judged: does a withheld value stand in it, or does
//! it tell a right guess from a wrong one? It knows nothing of the gateway that it judges, ours or another's.
//!
//! It must never send what can change data unless the spec allows it, never faster than the rate, and never print a
//! withheld value or a credential.

mod canary;
mod client;
mod judge;
mod probes;
mod report;
mod request;
mod responses;
mod rows;
mod spec;
mod suite;
mod tested;

use std::time::Duration;

use url::Url;

pub use self::client::TargetError;
pub use self::report::{Report, RowReport, Verdict};
pub use self::rows::Row;
pub use self::spec::{Allowed, Credentials, Spec};

use self::client::Client;
use self::suite::Suite;
use crate::fhir::Definitions;

/// How a run goes about it.
#[derive(Debug)]
pub struct Settings {
    /// Requests in a second, at most.
    pub rate: f64,
    /// For one request, from the first packet to the last.
    pub timeout: Duration,
    /// The rows to try; all where there are none.
    pub rows: Vec<Row>,
    /// Whether every type that refers to another is asked, and not a few alone.
    pub thorough: bool,
}

/// Holds the server at `target` to the spec. `progress` is told of each row that begins and of the requests so far.
///
/// # Errors
/// Where the target can't be asked at all; an answer of whatever kind is never an error.
pub async fn run(
    target: &Url,
    spec: &Spec,
    credentials: Credentials,
    settings: &Settings,
    progress: &mut (dyn FnMut(&str, usize) + Send),
) -> Result<Report, RunError> {
    let client = Client::new(target, spec, credentials, settings.rate, settings.timeout)?;
    let mut suite = Suite::new(spec, Definitions::r4(), client, settings, progress);
    probes::run(&mut suite).await?;
    Ok(suite.report())
}

/// Why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The target or the keys to it.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Nobody is there.
    #[error("the target does not answer: check its address, its certificate authority (ca) and that it runs")]
    Silent,
}
