//! The log: JSON lines for a service, a readable form for a terminal, both on stderr.
//!
//! It holds what fieldgate itself says and nothing of the libraries below it, whatever `FIELDGATE_LOG` asks for: they
//! would log paths, queries and headers.

use std::io;

use tracing_subscriber::filter::{FilterExt, ParseError, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{fmt, registry};

/// The variable that says what is logged, such as `warn` or `info,fieldgate::proxy=debug`.
const VARIABLE: &str = "FIELDGATE_LOG";
const DEFAULT: &str = "info";

/// The form of the log.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// One JSON object a line: `timestamp` (RFC 3339), `level`, `target`, and the event's own members.
    Json,
    /// For people.
    #[cfg(feature = "demo")]
    Readable,
}

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    #[error("{VARIABLE} is not a filter: use error, warn, info or debug")]
    Filter(#[source] ParseError),
    #[error("the log cannot be set up")]
    Start(#[source] TryInitError),
}

/// Logs from now on.
pub(super) fn start(form: Form) -> Result<(), LogError> {
    let wanted = std::env::var(VARIABLE).unwrap_or_else(|_| DEFAULT.to_owned());
    let filter: Targets = wanted.parse().map_err(LogError::Filter)?;
    let filter = filter.and(filter_fn(|about| about.target().split("::").next() == Some("fieldgate")));
    let layer = fmt::layer().with_writer(io::stderr).log_internal_errors(false);
    let layer = match form {
        Form::Json => layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
        #[cfg(feature = "demo")]
        Form::Readable => layer.with_target(false).with_ansi(super::terminal::is_coloured(&io::stderr())).boxed(),
    };
    registry().with(layer.with_filter(filter)).try_init().map_err(LogError::Start)
}
