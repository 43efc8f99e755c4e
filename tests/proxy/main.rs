//! The one way through over real sockets: gateways on loopback before upstreams that behave, and before ones that do not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

mod answers;
mod batches;
mod exports;
mod failures;
mod gateway;
mod http2;
mod operations;
mod pages;
mod refusals;
mod upstream;
mod wire;
mod writes;
