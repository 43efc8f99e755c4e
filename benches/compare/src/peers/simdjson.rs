//! simdjson's first stage as a yardstick: UTF-8 and the places of the tokens, without grammar, without a task.

use std::ffi::{CStr, c_char};

use crate::Outcome;
use crate::task::Task;

// SAFETY: as `simdjson.cpp` has them; the names are of static strings that end in zero.
unsafe extern "C" {
    safe fn compare_simdjson_version() -> *const c_char;
    safe fn compare_simdjson_kernel() -> *const c_char;
    fn compare_simdjson_stage1(text: *const u8, length: usize) -> usize;
}

/// Version and kernel.
pub fn version() -> String {
    let [version, kernel] = [compare_simdjson_version(), compare_simdjson_kernel()].map(|text| {
        // SAFETY: see above.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    });
    format!("{version} ({kernel})")
}

/// The first stage over a document. It keeps its state in one place, and this program has one thread.
pub fn stage1(_: Task, document: &[u8], _: &mut Vec<u8>) -> Outcome<()> {
    // SAFETY: the two say one slice, which it reads only.
    match unsafe { compare_simdjson_stage1(document.as_ptr(), document.len()) } {
        0 => Err("simdjson refuses the text".into()),
        _ => Ok(()),
    }
}
