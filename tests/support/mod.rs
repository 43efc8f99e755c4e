//! What the tests share: corpora that others made, which a checkout may lack.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::PathBuf;

/// A part of the corpora: `FIELDGATE_CORPORA`, or `../shared/corpora` beside the checkout. Says so where it is missing.
pub(crate) fn corpus(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("FIELDGATE_CORPORA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpora")), PathBuf::from);
    let path = root.join(part);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: the corpus {part} is not here");
    None
}
