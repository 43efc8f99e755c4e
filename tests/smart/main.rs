//! SMART on FHIR over real sockets: tokens with scopes and a patient, signed for real, before upstreams that behave and
//! before ones that answer more than they were asked for.
#![cfg(feature = "demo")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

mod compartment;
mod discovery;
#[path = "../proxy/gateway.rs"]
#[allow(dead_code, reason = "each test uses a part")]
mod gateway;
mod operations;
mod scopes;
mod tokens;
#[path = "../proxy/upstream.rs"]
#[allow(dead_code, reason = "each test uses a part")]
mod upstream;
mod writes;
