//! JSON as bytes: an incremental, strict lexer and read-only views of validated text.
//!
//! Everything that passes is RFC 8259 with UTF-8, the parts that are skipped too: where one parser takes what another
//! refuses is where leaks live. Nothing here copies or changes its input, and nothing here knows what the JSON means.

mod block;
mod grammar;
pub mod lexer;
mod list;
pub mod node;
mod read;
mod simd;
pub mod string;
mod tape;
pub mod tree;

pub use lexer::{Lexer, SyntaxError, SyntaxErrorKind, Token, TokenKind};
pub use simd::BackEnd;
pub use tape::{Tape, Window};
