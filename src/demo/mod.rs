//! Synthetic patients, a sample FHIR upstream and throw-away keys: what `fieldgate demo`, the benches and the tests run on.
//!
//! Nothing here describes a real person, and no key is ever embedded: keys are made anew at each start. Nothing outside
//! of the cargo feature `demo` may depend on it.

pub mod keys;
pub mod people;
pub mod upstream;

mod random;
mod tables;
