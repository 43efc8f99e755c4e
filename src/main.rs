//! The `fieldgate` binary: arguments → `cli` → exit code.

fn main() {}
