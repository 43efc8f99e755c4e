//! (being written)

/// A read-only view of one value inside validated text.
pub mod node;
/// JSON strings to text and back.
pub mod string;
