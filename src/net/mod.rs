//! The wire: TLS on both sides, the upstream's client, content codings, one strict reading of paths and headers.
//!
//! It moves bytes and refuses what has more than one reading. It never decides who sees what, never follows a redirect,
//! and never lets a body that was cut off look like one that ended.

pub mod address;
pub mod coding;
pub mod fetch;
pub mod header;
pub mod tls;
pub mod upstream;

/// An error of a library or of a caller's body, behind one of this layer's own.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
