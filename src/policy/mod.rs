//! The policy (draft).
mod compile;
mod document;
mod draft;
mod envelope;
mod jsonpath;
mod labels;
mod path;
mod resolve;
mod sees;
pub mod syntax;
pub mod treatment;
mod view;
