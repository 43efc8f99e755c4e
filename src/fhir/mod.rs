//! FHIR R4 as the gateway needs it: the standard's definitions as data, interactions, search parameters, outcomes.
//!
//! It knows what the standard says and nothing of who may see what; it never reads a file, a clock or the network.

pub mod definitions;
pub mod filter;
pub mod interaction;
pub mod operation;
pub mod outcome;
pub mod search;
mod suggest;

pub use definitions::{Definitions, Element, SearchParameter, Type, TypeId, TypeRef};
pub use interaction::{Interaction, InteractionError};
pub use operation::Operation;
pub use outcome::OperationOutcome;
pub use suggest::suggest;
