//! The policy (draft).
mod compile;
mod draft;
mod jsonpath;
mod labels;
mod path;
mod resolve;
pub mod syntax;
pub mod treatment;
mod view;
