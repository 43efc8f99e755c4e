//! The redaction core as a library of its own: hides members of any JSON document, wherever they stand, as it streams.
//!
//! ```text
//! echo '{"name":"Ada","ssn":"9","visits":[{"ssn":"9","on":"2026-01-02"}]}' | cargo run --example hide_members -- ssn
//! ```

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use fieldgate::redact::plan::{Action, Edge, Kinds, PlanBuilder, State};
use fieldgate::redact::transform::Given;
use fieldgate::redact::{Copied, Limits, Plan, Redactor};

fn main() -> ExitCode {
    let hidden: Vec<String> = std::env::args().skip(1).collect();
    match plan(&hidden).and_then(|plan| redact(plan, &mut io::stdin().lock(), &mut io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One state that leads back to itself: whatever is not hidden may hold what is.
fn plan(hidden: &[String]) -> io::Result<Arc<Plan>> {
    let mut builder = PlanBuilder::new();
    let anywhere = builder.reserve();
    let descend = Edge::new(Action::Descend(anywhere));
    let mut state = State { leaves: Kinds::ANY, ..State::otherwise(descend) };
    for name in hidden {
        state.members.insert(name, Edge::new(Action::Drop));
    }
    builder.set(anywhere, state);
    builder.build(descend).map(Arc::new).map_err(io::Error::other)
}

fn redact(plan: Arc<Plan>, input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let mut redactor = Redactor::new(plan, Given::default(), Limits::default());
    let mut piece = vec![0; 64 * 1024];
    let mut out = Vec::new();
    loop {
        let read = input.read(&mut piece)?;
        let piece = piece.get(..read).unwrap_or_default();
        let sink = &mut Copied { piece, out: &mut out };
        if piece.is_empty() {
            redactor.finish(sink).map_err(io::Error::other)?;
        } else {
            redactor.write(piece, sink).map_err(io::Error::other)?;
        }
        output.write_all(&out)?;
        out.clear();
        if read == 0 {
            return output.flush();
        }
    }
}
