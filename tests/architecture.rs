//! The sources hold to the layers: an import goes downward only, and the pure modules stay pure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "tests state behaviour and may panic"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, the top first. Modules of one layer never import each other.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["app", "conformance"],
    &["config", "demo"],
    &["proxy", "admin"],
    &["guard"],
    &["policy", "audit", "access"],
    &["redact", "fhir", "identity"],
    &["json", "net", "model", "metrics"],
];

/// Modules that decide: time, keys and randomness come to them as arguments.
const PURE: &[&str] = &["json", "redact", "fhir", "policy", "guard"];

/// What a pure module must not name.
const IMPURE: &[&str] = &[
    "tokio",
    "hyper",
    "std::fs",
    "std::net",
    "std::time::Instant",
    "std::env",
    "std::io",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "static mut",
    "OnceLock",
    "LazyLock",
    "thread_local",
    "println!",
    "eprintln!",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Each source: its top module, its path, and its code without comments and without its unit tests.
fn modules() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&src)
        .into_iter()
        .map(|path| {
            let below = path.strip_prefix(&src).unwrap();
            let module =
                below.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            (module, path, code)
        })
        .collect()
}

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).unwrap_or_else(|| panic!("{module} is in no layer"))
}

/// The modules of the crate that a source names: `crate::net::…`, `use crate::{net, model}`, `fieldgate::cli`.
fn imports(code: &str) -> BTreeSet<String> {
    let known: BTreeSet<&str> = LAYERS.iter().flat_map(|layer| layer.iter().copied()).collect();
    let mut found = BTreeSet::new();
    for root in ["crate::", "fieldgate::"] {
        for (at, _) in code.match_indices(root) {
            let rest = &code[at + root.len()..];
            let names = match rest.strip_prefix('{') {
                Some(list) => top_level(list),
                None => vec![rest],
            };
            let first =
                |name: &str| name.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
            found.extend(names.into_iter().map(first).filter(|name| known.contains(name.as_str())));
        }
    }
    found
}

/// The entries of a braced list, without those within inner braces.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut entries) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                entries.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                entries.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    entries
}

#[test]
fn an_import_goes_downward_only() {
    let mut wrong = Vec::new();
    for (module, path, code) in modules().iter().filter(|(module, ..)| module != "lib") {
        for import in imports(code).iter().filter(|import| *import != module) {
            if layer(import) <= layer(module) {
                wrong.push(format!("{}: {module} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_modules_that_decide_are_pure() {
    let mut wrong = Vec::new();
    for (_, path, code) in modules().iter().filter(|(module, ..)| PURE.contains(&module.as_str())) {
        wrong.extend(
            IMPURE.iter().filter(|word| code.contains(**word)).map(|word| format!("{}: {word}", path.display())),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_redaction_core_knows_neither_fhir_nor_http() {
    for (module, path, code) in modules().iter().filter(|(module, ..)| ["json", "redact"].contains(&module.as_str())) {
        let outside: Vec<_> =
            imports(code).into_iter().filter(|import| !["json", "redact"].contains(&import.as_str())).collect();
        assert!(outside.is_empty(), "{} of {module} imports {outside:?}", path.display());
        assert!(!code.contains("http::"), "{}", path.display());
    }
}

#[test]
fn the_conformance_suite_knows_nothing_of_the_gateway_that_it_judges() {
    let known = ["conformance", "config", "fhir", "net", "policy"];
    for (module, path, code) in modules().iter().filter(|(module, ..)| module == "conformance") {
        let more: Vec<_> = imports(code).into_iter().filter(|import| !known.contains(&import.as_str())).collect();
        assert!(more.is_empty(), "{} of {module} imports {more:?}", path.display());
        // Of a policy it takes what mistakes in files look like, and nothing that decides.
        let decides = code.lines().filter(|line| line.contains("crate::policy")).find(|line| !line.contains("Finding"));
        assert_eq!(decides, None, "{}", path.display());
    }
}

#[test]
fn unsafe_code_stands_in_one_file_at_most() {
    for (_, path, code) in modules() {
        let allowed = path.ends_with("json/simd.rs");
        assert!(allowed || !code.contains("unsafe {"), "{}", path.display());
    }
}

#[test]
fn an_import_is_found_however_it_is_written() {
    let code = "use crate::net::tls;\nuse crate::{model::{Role, Caller}, json};\nlet x = crate::audit::verify(); fieldgate::cli::run()";
    assert_eq!(imports(code).into_iter().collect::<Vec<_>>(), ["audit", "cli", "json", "model", "net"]);
}
