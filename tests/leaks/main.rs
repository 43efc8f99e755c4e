//! No way round the filter: a file for each way to learn of a withheld value without seeing it, named after its row in the
//! threat model. Gateways on loopback before upstreams that answer wrongly on purpose, and a judge of what comes out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    reason = "tests state behaviour and may panic"
)]

mod caller;
mod canaries;
#[cfg(all(unix, feature = "demo"))]
#[path = "../gateway/client.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
mod client;
mod elements;
#[cfg(all(unix, feature = "demo"))]
#[path = "../gateway/folder.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
mod folder;
#[path = "../proxy/gateway.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod gateway;
mod hostile;
#[path = "../proxy/http2.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod http2;
mod judge;
mod l01;
mod l02;
mod l03;
mod l04;
mod l05;
mod l06;
mod l07;
mod l08;
mod l09;
mod l10;
mod l11;
mod l12;
mod l13;
mod l14;
mod l15;
mod l16;
mod l17;
mod l18;
mod l19;
mod l20;
mod l21;
mod l22;
mod l23;
mod l24;
mod l25;
mod l26;
mod l27;
mod l28;
mod l29;
mod l30;
mod l31;
mod l32;
mod l33;
mod l34;
mod l35;
mod l36;
#[cfg(all(unix, feature = "demo"))]
#[path = "../gateway/process.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
mod process;
mod sockets;
mod stage;
mod tables;
#[path = "../proxy/upstream.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod upstream;
