//! The JSON of fieldgate, without all that is around it.

#[path = "../../src/json/mod.rs"]
pub mod json;
