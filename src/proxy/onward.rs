//! Following links that the gateway has sealed (L18, L22).
//!
//! What a link leads to is decided anew as what it is of, so a caller who may no longer do that may not go on either.

use http::Method;
use http::request::Parts;

use super::refusal::Refusal;
use super::request::{self, Wanted};
use crate::fhir::Operation;
use crate::guard::sealed::{Place, SEGMENT, Sealed};
use crate::guard::{Guard, GuardError};
use crate::net::address::CanonicalPath;

/// Which step of what a caller has begun its request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is answered with what was asked for.
    Answer,
    /// An export begins.
    Begin,
    /// How far it is.
    State,
    /// It is to end.
    Cancel,
    /// One of its files.
    File,
}

impl Step {
    /// The step of a request that follows a link, or begins something itself.
    pub(super) fn of(wanted: &Wanted, link: Option<&Sealed>, method: &Method) -> Self {
        let operation = wanted.fhir().and_then(|interaction| interaction.operation.as_deref());
        match link.map(|link| link.place) {
            Some(Place::State) if method == Method::DELETE => Self::Cancel,
            Some(Place::State) => Self::State,
            Some(Place::File) => Self::File,
            None if operation == Some(Operation::Export.as_str()) => Self::Begin,
            Some(Place::Page) | None => Self::Answer,
        }
    }
}

/// The link that a request follows; `None` where it follows none.
pub(super) fn opened(guard: &Guard<'_>, head: &Parts, below: &CanonicalPath) -> Result<Option<Sealed>, Refusal> {
    let [SEGMENT, segment] = below.segments().iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        return Ok(None);
    };
    // All that a link says is sealed in it.
    if head.uri.query().is_some() {
        return Err(Refusal::Guard(GuardError::PageLink));
    }
    let link = guard.opened(segment).map_err(Refusal::Guard)?;
    let allowed = match link.place {
        Place::Page | Place::File => "GET, HEAD",
        Place::State => "GET, DELETE",
    };
    request::allows(allowed, &head.method)?;
    Ok(Some(link))
}
