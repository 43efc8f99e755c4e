//! What each contestant takes that is not JSON. Passing over is faster than checking, so who does not check is told.

use crate::Outcome;
use crate::contest::Contestant;
use crate::task::Task;

/// What is wrong, a value that has it, and what stands behind the document. The first has nothing wrong.
const TEXTS: [(&str, &[u8], &[u8]); 11] = [
    ("nothing", br#"{"a":[1,null,"\u00e9"]}"#, b" "),
    ("a missing comma", br#"{"a":[1 2]}"#, b""),
    ("a missing colon", br#"{"a" 1}"#, b""),
    ("a comma too many", br#"{"a":[1,]}"#, b""),
    ("brackets that do not match", br#"{"a":[{"b":1]}}"#, b""),
    ("a number that is none", br#"{"a":[01]}"#, b""),
    ("a word that is none", br#"{"a":[nul]}"#, b""),
    ("an unknown escape", br#"{"a":["\x"]}"#, b""),
    ("a control character in a string", b"{\"a\":[\"\x01\"]}", b""),
    ("bytes that are not UTF-8", b"{\"a\":[\"\xff\xfe\"]}", b""),
    ("something behind the document", b"{}", b"{"),
];

/// Of the contestants in this process those that take anything broken, and what: in a member that is kept, `code` of an
/// Observation, and in one that is dropped, its narrative. fieldgate may take nothing.
pub fn lenient(contestants: &mut [&mut dyn Contestant]) -> Outcome<Vec<String>> {
    let mut lenient = Vec::new();
    for (number, contestant) in contestants.iter_mut().enumerate() {
        let mut taken = Vec::new();
        for (place, (what, value, behind)) in TEXTS.into_iter().enumerate() {
            let mut takes = |member: &str, task| {
                let start = format!(r#"{{"resourceType":"Observation","id":"1","{member}":"#);
                contestant.takes(task, &[start.as_bytes(), value, br#","status":"final"}"#, behind].concat())
            };
            let said = Task::ALL.map(|task| [takes("code", task), takes("text", task)]);
            if place == 0 && said.as_flattened().contains(&Some(false)) {
                return Err(format!("{} refuses what is JSON", contestant.name()).into());
            }
            if place > 0 && said.as_flattened().contains(&Some(true)) {
                taken.push(what);
            }
        }
        if number == 0 && !taken.is_empty() {
            return Err(format!("{} takes {}", contestant.name(), taken.join(", ")).into());
        }
        if !taken.is_empty() {
            lenient.push(format!("{} takes {}", contestant.name(), taken.join(", ")));
        }
    }
    Ok(lenient)
}
