//! The conformance suite: whether it finds each way by which a server leaks, calls nothing a leak that is none, and says
//! nothing of what it has found out. Against a server that leaks in one way at a time, and against the demo.
#![cfg(all(unix, feature = "demo"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    unreachable_pub,
    reason = "tests state behaviour and may panic"
)]

mod command;
mod demo;
mod hostile;
#[path = "../gateway/process.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod process;
mod server;
