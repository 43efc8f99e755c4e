//! L11 and L13: from one resource to another, by chains, reverse chains, filters and inclusions.

use super::super::request::{Filling, Request};
use super::super::suite::Suite;
use super::super::tested::{self, Source};
use super::{guesses, seen};
use crate::fhir::definitions::Mapping;

/// How many types that refer to one are asked, and how many references of one are followed, unless all are.
const FEW: usize = 4;

/// The types that refer to this one, as many as are asked.
fn sources(suite: &mut Suite<'_>, row: u8, of: &str) -> Vec<Source> {
    let all = suite.sources.get(of).cloned().unwrap_or_default();
    let most = if suite.settings.thorough { all.len() } else { FEW };
    if all.len() > most {
        suite.skip(row, format!("{most} of {} types that refer to a {of} are asked; --thorough asks all", all.len()));
    }
    all.into_iter().take(most).collect()
}

/// A search of one type by what a withheld element of another has.
pub(super) async fn l11(suite: &mut Suite<'_>) {
    let mut texts = std::collections::BTreeSet::new();
    for guess in guesses(suite, 11).into_iter().filter(|guess| guess.by.mapping != Mapping::Composite) {
        let (of, code) = (guess.resource.name, guess.by.code.as_str());
        let mut templates = vec![
            format!("/{of}?_filter={code}%20eq%20%22{{value}}%22"),
            format!("/{of}?_filter=_id%20eq%20{{id}}%20and%20{code}%20eq%20%22{{value}}%22"),
            format!("/{of}?_filter=not(not({code}%20eq%20%22{{value}}%22))"),
        ];
        for (source, by) in sources(suite, 11, of) {
            templates.push(format!("/{source}?{by}:{of}.{code}={{value}}"));
            templates.push(format!("/{source}?{by}.{code}={{value}}"));
            templates.push(format!("/{source}?{by}={of}/{{id}}&{by}:{of}.{code}={{value}}"));
            templates.push(format!("/{source}?_filter={by}.{code}%20eq%20%22{{value}}%22"));
        }
        for (back, target) in tested::references(&suite.definitions, of).into_iter().take(FEW) {
            templates.push(format!("/{target}?_has:{of}:{back}:{code}={{value}}"));
            templates.push(format!("/{target}?_has:{of}:{back}:_id={{id}}&_has:{of}:{back}:{code}={{value}}"));
            // There and back again.
            templates.push(format!("/{of}?{back}:{target}._has:{of}:{back}:{code}={{value}}"));
        }
        if texts.insert(&*guess.withheld.element) {
            for anything in ["_text", "_content", "_content:contains"] {
                templates.push(format!("/{of}?_id={{id}}&{anything}={{value}}"));
            }
        }
        for template in templates {
            suite.oracle(11, guess.requests(&template)).await;
        }
    }
}

/// What comes with a match.
pub(super) async fn l13(suite: &mut Suite<'_>) {
    let resources: Vec<_> = seen(suite).collect();
    for resource in resources {
        let (of, with) = (resource.name, Filling::id(resource));
        let mut templates = vec![
            format!("/{of}?_id={{id}}&_include=*"),
            format!("/{of}?_id={{id}}&_revinclude=*"),
            format!("/{of}?_id={{id}}&_include={of}:*"),
        ];
        for (source, by) in sources(suite, 13, of) {
            for include in ["_include", "_include:iterate", "_include:recurse"] {
                templates.push(format!("/{source}?{by}={of}/{{id}}&{include}={source}:{by}"));
            }
            templates.push(format!("/{source}?{by}={of}/{{id}}&_include={source}:{by}:{of}"));
            templates.push(format!("/{source}?{by}={of}/{{id}}&_include=*"));
            for include in ["_revinclude", "_revinclude:iterate"] {
                templates.push(format!("/{of}?_id={{id}}&{include}={source}:{by}"));
            }
            templates.push(format!("/{of}?_id={{id}}&_revinclude={source}:{by}&_include:iterate={source}:{by}"));
        }
        for (code, target) in tested::references(&suite.definitions, of).into_iter().take(FEW) {
            templates.push(format!("/{of}?_id={{id}}&_include={of}:{code}"));
            templates.push(format!("/{of}?_id={{id}}&_include={of}:{code}:{target}"));
        }
        for template in templates {
            suite.canary(13, &Request::get(&template, &with)).await;
        }
    }
}
