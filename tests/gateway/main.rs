//! The gateway as people run it: the binary as a process, real TLS, signals, files on the disk.
#![cfg(all(unix, feature = "demo"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "tests state behaviour and may panic"
)]

mod client;
mod corpora;
mod demo;
mod folder;
mod process;
mod serve;
#[path = "../support/mod.rs"]
mod support;
