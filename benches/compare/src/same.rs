//! Whether two answers are the same JSON. Nobody is timed who does another task.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fieldgate::redact::oracle;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Outcome;
use crate::contest::Contestant;
use crate::corpus::Corpus;
use crate::ours::Fieldgate;
use crate::task::Task;

/// Compares each contestant's answers with those of the first.
pub fn check(contestants: &mut [&mut dyn Contestant], task: Task, corpus: &Corpus) -> Outcome<()> {
    let Some((ours, others)) = contestants.split_first_mut() else { return Ok(()) };
    let ours = ours.answers(task, corpus)?.ok_or("the first contestant does no task")?;
    for other in others {
        // A yardstick has still been run, and has not failed.
        let Some(theirs) = other.answers(task, corpus)? else { continue };
        let differs =
            |why: String| format!("{} differs in task {} on {}: {why}", other.name(), task.letter(), corpus.name);
        if theirs.len() == ours.len() {
            for (place, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                if ours.is_empty() != theirs.is_empty() {
                    return Err(differs(format!("document {place} is empty on one side")).into());
                }
                compare(ours, theirs, other.keeps_numbers())
                    .map_err(|why| differs(format!("document {place}{why}")))?;
            }
        } else {
            compare(&ours.join(&b'\n'), &theirs.join(&b'\n'), other.keeps_numbers()).map_err(differs)?;
        }
    }
    Ok(())
}

/// Compares a policy's answers with those of the core's own oracle, since no peer knows policies.
pub fn check_policy(fieldgate: &mut Fieldgate, corpus: &Corpus) -> Outcome<()> {
    let answers = fieldgate.answers(Task::Hide, corpus)?.unwrap_or_default();
    for (document, answer) in corpus.documents.iter().zip(answers) {
        let said = oracle::redact(fieldgate.plan(Task::Hide), fieldgate.given(), &serde_json::from_slice(document)?);
        let answer = if answer.is_empty() { None } else { Some(serde_json::from_slice::<Value>(&answer)?) };
        if said != answer {
            return Err(format!("{} differs from the oracle on {}", fieldgate.name(), corpus.name).into());
        }
    }
    Ok(())
}

/// Streams of values, each the same as the other's.
fn compare(ours: &[u8], theirs: &[u8], exact: bool) -> Result<(), String> {
    let values = |text| {
        let values = serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>();
        values.collect::<Result<Vec<_>, _>>().map_err(|error| format!(": {error}"))
    };
    let (ours, theirs): (Vec<&RawValue>, Vec<&RawValue>) = (values(ours)?, values(theirs)?);
    if ours.len() != theirs.len() {
        return Err(format!(": {} values, and not {}", theirs.len(), ours.len()));
    }
    ours.iter().zip(theirs).try_for_each(|(ours, theirs)| same(ours.get(), theirs.get(), exact))
}

/// The error is the path to what differs, from its end: `.entry[3].id`.
fn same(ours: &str, theirs: &str, exact: bool) -> Result<(), String> {
    let broken = |error: serde_json::Error| format!(": {error}");
    match (ours.as_bytes().first(), theirs.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => {
            let members = |text| serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(text).map_err(broken);
            let (ours, theirs) = (members(ours)?, members(theirs)?);
            if let Some(name) = ours.keys().find(|name| !theirs.contains_key(*name)) {
                return Err(format!(".{name} is missing"));
            }
            for (name, theirs) in &theirs {
                let ours = ours.get(name).ok_or_else(|| format!(".{name} should be gone"))?;
                same(ours.get(), theirs.get(), exact).map_err(|why| format!(".{name}{why}"))?;
            }
            Ok(())
        }
        (Some(b'['), Some(b'[')) => {
            let items = |text| serde_json::from_str::<Vec<&RawValue>>(text).map_err(broken);
            let (ours, theirs) = (items(ours)?, items(theirs)?);
            if ours.len() != theirs.len() {
                return Err(format!(" has {} items, and not {}", theirs.len(), ours.len()));
            }
            let same = |(place, (ours, theirs)): (usize, (&&RawValue, &RawValue))| {
                same(ours.get(), theirs.get(), exact).map_err(|why| format!("[{place}]{why}"))
            };
            ours.iter().zip(theirs).enumerate().try_for_each(same)
        }
        (Some(b'"'), Some(b'"')) => {
            let string = |text| serde_json::from_str::<Cow<'_, str>>(text).map_err(broken);
            if string(ours)? == string(theirs)? { Ok(()) } else { Err(" is another string".into()) }
        }
        _ if ours == theirs => Ok(()),
        _ if exact => Err(format!(" is {theirs}, and not {ours} as it was written")),
        _ => match (ours.parse::<f64>(), theirs.parse::<f64>()) {
            // The parsers that trade the last digit of a double for speed may be a unit of it off.
            (Ok(ours), Ok(theirs)) if (ours - theirs).abs() <= f64::EPSILON * ours.abs() => Ok(()),
            _ => Err(format!(" is {theirs}, and not {ours}")),
        },
    }
}
