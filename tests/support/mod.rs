//! What the tests share: corpora that others made, which a checkout may lack, and how documents are split and compared.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "tests state behaviour and may panic")]

use std::path::{Path, PathBuf};

use serde_json::Value;

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

/// The folder that `FIELDGATE_BUNDLES` names, of FHIR documents to hold the code against. Says so where it names none.
pub(crate) fn bundles() -> Option<PathBuf> {
    let folder = std::env::var_os("FIELDGATE_BUNDLES").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: FIELDGATE_BUNDLES names no folder");
    }
    folder
}

/// The JSON files of a folder, in the order of their names. One without any is a mistake.
pub(crate) fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert!(!files.is_empty(), "{} has no JSON files", folder.display());
    files
}

/// Sizes that follow from a seed, so that a failure comes again.
pub(crate) struct Sizes(pub(crate) u64);

impl Sizes {
    pub(crate) fn next(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (self.0 >> 33) as usize % most
    }

    /// A text in pieces of such sizes.
    pub(crate) fn split<'a>(&mut self, text: &'a [u8], most: usize) -> Vec<&'a [u8]> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(rest.len().min(self.next(most)));
            pieces.push(piece);
            rest = others;
        }
        pieces
    }
}

/// The first place where two values differ.
pub(crate) fn difference(at: &str, left: Option<&Value>, right: Option<&Value>) -> String {
    match (left, right) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let mut names = left.keys().chain(right.keys());
            let differs = names.find(|name| left.get(*name) != right.get(*name));
            differs
                .map_or_else(String::new, |name| difference(&format!("{at}.{name}"), left.get(name), right.get(name)))
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            let place = (0..left.len().max(right.len())).find(|place| left.get(*place) != right.get(*place));
            place.map_or_else(String::new, |place| {
                difference(&format!("{at}[{place}]"), left.get(place), right.get(place))
            })
        }
        _ => format!("at {at}: {left:?} and not {right:?}"),
    }
}
