//! The redaction core: JSON in, JSON out, as a [`plan`] says.
//!
//! It knows neither FHIR nor HTTP, reads no clock and no file, and hands out nothing before the plan has decided on it.

pub mod condition;
pub mod plan;
pub mod transform;
