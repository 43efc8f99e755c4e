//! Compiles the yardstick, simdjson's first stage, where the feature asks for it, and notes how this program is built.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version =
        Command::new(rustc).arg("--version").output().ok().and_then(|said| String::from_utf8(said.stdout).ok());
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().replace('\x1f', " ");
    println!("cargo:rustc-env=COMPARE_RUSTC={}", version.unwrap_or_default().trim());
    println!("cargo:rustc-env=COMPARE_RUSTFLAGS={flags}");
    println!("cargo:rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "simdjson")]
    simdjson(&flags);
}

#[cfg(feature = "simdjson")]
fn simdjson(flags: &str) {
    println!("cargo:rerun-if-changed=simdjson.cpp");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(3).file("simdjson.cpp");
    // The library chooses its own kernel when it runs; this is for the few lines here.
    if flags.contains("target-cpu=native") {
        build.flag("-march=native");
    }
    if let Err(error) = build.try_compile("fieldgate_compare_simdjson") {
        eprintln!(
            "simdjson.cpp does not compile: {error}\n\nInstall simdjson and a C++ compiler (apt-get install libsimdjson-dev \
             g++),\nor leave simdjson out: cargo run --release --no-default-features"
        );
        std::process::exit(1);
    }
    println!("cargo:rustc-link-lib=simdjson");
}
