//! fieldgate: a reverse proxy that lets each caller of a FHIR or JSON API see only the fields its task needs.
//!
//! The modules below are in layer order, the top first; an import goes downward only, and `tests/architecture.rs`
//! holds the sources to it. A response flows one way through them: `proxy` tells that story top to bottom.
//!
//! ```text
//! main → cli → app, conformance → config, demo
//! proxy   admin                    never each other
//! guard
//! policy  audit  access
//! redact  fhir  identity
//! json  net  model  metrics
//! ```
//!
//! `json`, `redact`, `fhir`, `policy` and `guard` are pure: no tokio, no hyper, no clock, no files, no global state.
//! `json` and `redact` know neither FHIR nor HTTP and serve as a library of their own.

pub mod cli;

pub mod app;
pub mod conformance;

pub mod config;
#[cfg(feature = "demo")]
pub mod demo;

pub mod admin;
pub mod proxy;

pub mod guard;

pub mod access;
pub mod audit;
pub mod policy;

pub mod fhir;
pub mod identity;
pub mod redact;

pub mod json;
pub mod metrics;
pub mod model;
pub mod net;
