//! The peers, each in the best way that its own documentation knows: buffers are used again wherever its interface
//! allows it, and what it would do beyond the task is left out.

pub mod orjson;
pub mod programs;
pub mod raw;
pub mod serde_dom;
pub mod simd;
#[cfg(feature = "simdjson")]
pub mod simdjson;
pub mod sonic;

use crate::contest::{Contestant, InProcess};

/// The peers and yardsticks that are called in this process.
pub fn in_process() -> Vec<Box<dyn Contestant>> {
    let mut borrowed = simd::Borrowed::default();
    let copy = |_, document: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(document);
        Ok(())
    };
    vec![
        Box::new(InProcess::yardstick("memcpy", copy)),
        #[cfg(feature = "simdjson")]
        Box::new(InProcess::yardstick("simdjson stage 1", simdjson::stage1)),
        Box::new(InProcess::peer("serde_json, DOM", serde_dom::dom)),
        Box::new(InProcess::peer("serde_json, raw values", raw::serde_json).keeping_numbers()),
        Box::new(InProcess::peer("simd-json, borrowed", move |task, document, out| borrowed.dom(task, document, out))),
        Box::new(InProcess::peer("sonic-rs, DOM", sonic::dom)),
        Box::new(InProcess::peer("sonic-rs, lazy iterators", sonic::lazy).keeping_numbers()),
        Box::new(InProcess::peer("sonic-rs, lazy values in one walk", raw::sonic_rs).keeping_numbers()),
    ]
}
