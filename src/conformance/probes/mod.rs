//! The probes, row by row: what is asked so that something withheld could come out.
//!
//! Each follows from the spec and the FHIR tables. What could change data is sent only where the spec allows it.

mod follow;
mod operate;
mod read;
mod search;
mod shape;
mod wire;

use super::RunError;
use super::request::{Filling, Request};
use super::rows::Control;
use super::spec::{Resource, Withheld};
use super::suite::{Suite, rows};
use super::tested;
use crate::fhir::SearchParameter;

/// Tries every row that was picked.
pub(super) async fn run(suite: &mut Suite<'_>) -> Result<(), RunError> {
    read::controls(suite).await?;
    for row in rows() {
        if !suite.begins(row.0) {
            continue;
        }
        match row.0 {
            9 => read::l09(suite).await,
            10 => search::l10(suite).await,
            11 => follow::l11(suite).await,
            12 => search::l12(suite).await,
            13 => follow::l13(suite).await,
            14 => search::l14(suite).await,
            15 => search::l15(suite).await,
            16 => operate::l16(suite).await,
            17 => operate::l17(suite).await,
            18 => search::l18(suite).await,
            19 => read::l19(suite).await,
            20 => shape::l20(suite).await,
            21 => shape::l21(suite).await,
            22 => operate::l22(suite).await,
            23 => shape::l23(suite).await,
            24 => shape::l24(suite).await,
            25 => shape::l25(suite).await,
            27 => operate::l27(suite).await,
            28 => operate::l28(suite).await,
            29 => search::l29(suite).await,
            32 => wire::l32(suite).await,
            33 => wire::l33(suite).await,
            // What a plain reading shows belongs to these, and nothing can be sent for the others.
            _ => {}
        }
    }
    // Who has fallen silent meanwhile has told nothing, which is not the same as holding.
    let control = suite.spec.resources.iter().find(|resource| !resource.shown.is_empty());
    if let Some(resource) = control {
        let read = Request::get(&format!("/{}/{{id}}", resource.name), &Filling::id(resource));
        let answer = suite.client.send(&read).await;
        if !answer.is_ok_and(|answer| Suite::shows(resource, &answer)) {
            suite.fails(Control::Read, "at the end what must be seen is not seen any more");
        }
    }
    Ok(())
}

/// A guess: a withheld element that can be guessed, the right and the wrong value, and a parameter that tests it.
struct Guess<'a> {
    resource: &'a Resource,
    withheld: &'a Withheld,
    by: &'static SearchParameter,
    fillings: [Filling<'a>; 2],
}

impl Guess<'_> {
    fn requests(&self, template: &str) -> [Request; 2] {
        self.fillings.map(|with| Request::get(template, &with))
    }
}

/// Every parameter that tests a withheld element, with what to ask by it. Says of a row what can't be guessed.
fn guesses<'a>(suite: &mut Suite<'a>, row: u8) -> Vec<Guess<'a>> {
    let (spec, definitions) = (suite.spec, suite.definitions);
    let mut found = Vec::new();
    for resource in &spec.resources {
        for withheld in &resource.withheld {
            let Some(fillings) = Filling::guesses(resource, withheld) else {
                suite.skip(row, format!("{} has no wrong value to be told from", withheld.element));
                continue;
            };
            let parameters = tested::by(&definitions, resource.of, &withheld.path);
            if parameters.is_empty() {
                suite.skip(row, format!("no search parameter tests {}", withheld.element));
            }
            found.extend(parameters.into_iter().map(|by| Guess { resource, withheld, by, fillings }));
        }
    }
    found
}

/// The resources of which something must be seen.
fn seen<'a>(suite: &Suite<'a>) -> impl Iterator<Item = &'a Resource> {
    suite.spec.resources.iter().filter(|resource| !resource.is_secret)
}

/// The first step of a path.
fn top(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}
