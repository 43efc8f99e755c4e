//! The net layer against real sockets, real handshakes and real encoders.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::panic_in_result_fn,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

mod authority;
mod coding;
mod fetch;
mod peer;
mod tls;
mod upstream;
