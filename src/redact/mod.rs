//! The redaction core: JSON in, JSON out, as a [`plan`] says.
//!
//! It knows neither FHIR nor HTTP, reads no clock and no file, and hands out nothing before the plan has decided on it.

mod bounds;
pub mod condition;
mod lines;
mod names;
pub mod oracle;
mod output;
pub mod plan;
mod redactor;
mod tally;
pub mod transform;

pub use bounds::Bounds;
pub use lines::Lines;
pub use output::{Copied, Sink};
pub use plan::Plan;
pub use redactor::{Limits, RedactError, Redactor};
pub use tally::{Count, Ids, Tally};
