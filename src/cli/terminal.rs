//! What commands say to people: complaints, findings, and how far a long work has come.
//!
//! Colours and progress are for terminals. It must never print anything of a document.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};

use crate::app::with_causes;
use crate::policy::Finding;

/// How long a command works before it shows its progress, and how often it does from then on.
const QUIET: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_millis(250);

/// Says on stderr what went wrong, with its causes.
pub(super) fn complain(error: &dyn Error) {
    say(Level::Error, &with_causes(error));
}

/// Says on stderr what is worth a second look.
pub(super) fn warn(message: &str) {
    say(Level::Warning, message);
}

/// Says findings on stderr, one a line.
pub(super) fn findings<'a>(level: Level, found: impl IntoIterator<Item = &'a Finding>) {
    for finding in found {
        say(level, &finding.to_string());
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Level {
    Error,
    Warning,
}

fn say(level: Level, text: &str) {
    const RED: Style = AnsiColor::Red.on_default().bold();
    const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
    let (style, word) = match level {
        Level::Error => (RED, "error"),
        Level::Warning => (YELLOW, "warning"),
    };
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "{style}{word}:{style:#} {text}");
}

/// Whether colours are wanted: on a terminal, unless `NO_COLOR` is set to something.
#[cfg(feature = "demo")]
pub(super) fn is_coloured(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// How far a long work has come, on a terminal.
pub(super) struct Progress {
    since: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), shown: None, terminal: io::stderr().is_terminal() }
    }

    /// Shows, from time to time, what is said of the work, given how long it has taken.
    pub(super) fn show(&mut self, said: impl FnOnce(Duration) -> String) {
        let taken = self.since.elapsed();
        if !self.terminal || taken < QUIET || self.shown.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let _ = write!(io::stderr(), "\r{}\x1b[K", said(taken));
    }

    pub(super) fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
