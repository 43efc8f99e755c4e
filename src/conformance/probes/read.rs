//! L00 to L09 and L19: the controls, what plain readings show, whether a withheld resource is there, and errors.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use super::super::RunError;
use super::super::judge::names;
use super::super::request::{Filling, Request};
use super::super::rows::Control;
use super::super::spec::Resource;
use super::super::suite::Suite;
use super::super::tested;
use super::{seen, top};

/// How many types that refer to a resource are looked at.
const LOOKED_AT: usize = 12;

/// Reads each resource in every plain way, and tells whether what must be seen is seen.
pub(super) async fn controls(suite: &mut Suite<'_>) -> Result<(), RunError> {
    suite.begins(0);
    let (mut reads, mut searches, mut any) = (true, true, false);
    for resource in &suite.spec.resources {
        let (of, with) = (resource.name, Filling::id(resource));
        let answer = suite.reading(&Request::get(&format!("/{of}/{{id}}"), &with), false).await;
        any |= answer.is_some();
        reads &= resource.shown.is_empty() || answer.as_ref().is_some_and(|answer| Suite::shows(resource, answer));
        let version = answer.and_then(|answer| Some(answer.json()?.pointer("/meta/versionId")?.as_str()?.to_owned()));
        let mut versioned = Request::get("", &with).told(format!("GET /{of}/{{id}}/_history/{{version}}"));
        versioned.target = format!("/{of}/{}/_history/{}", resource.id, version.as_deref().unwrap_or("1"));
        suite.reading(&versioned, false).await;
        // Where an id is withheld nobody may search by it, and a list must do.
        let mut found = resource.shown.is_empty();
        for rest in ["?_id={id}", "?_count=20"] {
            let answer = suite.reading(&Request::get(&format!("/{of}{rest}"), &with), true).await;
            found |= answer.is_some_and(|answer| Suite::shows(resource, &answer));
        }
        searches &= found;
        for template in [format!("/{of}/{{id}}/_history?_count=5"), format!("/?_type={of}&_id={{id}}")] {
            suite.reading(&Request::get(&template, &with), true).await;
        }
        for kind in ["batch", "transaction"] {
            let asked = json!({ "method": "GET", "url": format!("{of}/{{id}}") });
            let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": [{ "request": asked }] });
            let posted = Request::new(Method::POST, "", &with);
            let what = format!("a {kind} of GET {of}/{{id}}");
            suite.reading(&posted.json(&bundle, "application/fhir+json", &what, &with), true).await;
        }
    }
    if !any {
        return Err(RunError::Silent);
    }
    if !reads {
        suite.fails(Control::Read, "a read does not show what must be seen, so nothing can be said of what it hides");
    }
    if !searches {
        suite.fails(Control::Search, "no search shows what must be seen, so nothing can be said of searches");
    }
    look_around(suite).await;
    Ok(())
}

/// Reads what refers to the resources, and finds out of which types there are some.
async fn look_around(suite: &mut Suite<'_>) {
    let resources: Vec<&Resource> = seen(suite).collect();
    let Some(first) = resources.first() else { return };
    let statement = suite.reading(&Request::get("/metadata", &Filling::id(first)), false).await;
    let served: Option<BTreeSet<String>> = statement.and_then(|answer| {
        let statement = answer.json()?;
        let listed = statement.pointer("/rest/0/resource")?.as_array()?;
        Some(listed.iter().filter_map(|entry| Some(entry.get("type")?.as_str()?.to_owned())).collect())
    });
    for resource in resources {
        let mut all = tested::sources(&suite.definitions, resource.name);
        if let Some(served) = &served {
            all.retain(|(name, _)| served.contains(*name));
        }
        // What the spec names is of more interest than what it does not.
        let named = |name: &str| suite.spec.resources.iter().any(|other| other.name == name);
        all.sort_by_key(|(name, _)| !named(name));
        let mut there = BTreeSet::new();
        for (source, by) in all.iter().take(LOOKED_AT) {
            let listing =
                Request::get(&format!("/{source}?{by}={}/{{id}}&_count=20", resource.name), &Filling::id(resource));
            let answer = suite.reading(&listing, true).await;
            let found = answer.and_then(|answer| answer.json()).is_some_and(|bundle: Value| !names(&bundle).is_empty());
            if found {
                there.insert(*source);
            }
        }
        all.sort_by_key(|(name, _)| !there.contains(name));
        let known = suite.sources.entry(resource.name).or_default();
        known.extend(all.into_iter().filter(|source| !known.contains(source)).collect::<Vec<_>>());
    }
}

/// A withheld resource, and one whose id is withheld, against one that is not there.
pub(super) async fn l09(suite: &mut Suite<'_>) {
    let mut secret = Vec::new();
    for resource in &suite.spec.resources {
        let id = resource.withheld.iter().find(|withheld| &*withheld.path == "id");
        if resource.is_secret || id.is_some() {
            secret.push((resource, id.and_then(|id| id.wrong.as_deref())));
        }
    }
    if secret.is_empty() {
        return suite.skip(9, "no resource of the spec has existence: withheld, or a withheld id");
    }
    for (resource, wrong) in secret {
        let (of, absent) = (resource.name, absent(&resource.id));
        let fillings = [Filling::id(resource), Filling::other_id(wrong.unwrap_or(&absent))];
        let mut templates: Vec<String> = [
            "/{id}",
            "/{id}/_history/1",
            "/{id}/_history",
            "/{id}?_elements=id",
            "/{id}/$meta",
            "/{id}/$everything",
            "?_id={id}",
            "?_id={id}&_summary=count",
            "?_id={id}&_count=0",
            "?_id={id}&_total=accurate",
            "?_id={id}&_elements=id",
            "?_id:missing=false&_id={id}",
        ]
        .map(|rest| format!("/{of}{rest}"))
        .into();
        templates.push(format!("/?_type={of}&_id={{id}}"));
        for (code, target) in tested::references(&suite.definitions, of).into_iter().take(4) {
            templates.push(format!("/{target}?_has:{of}:{code}:_id={{id}}"));
            templates.push(format!("/{target}?_has:{of}:{code}:_id={{id}}&_revinclude={of}:{code}"));
        }
        for (source, by) in tested::sources(&suite.definitions, of).into_iter().take(4) {
            templates.push(format!("/{source}?{by}={of}/{{id}}"));
            templates.push(format!("/{source}?{by}:{of}._id={{id}}"));
        }
        for template in templates {
            suite.oracle(9, fillings.map(|with| Request::get(&template, &with))).await;
        }
        let read = format!("/{of}/{{id}}");
        suite.oracle(9, fillings.map(|with| Request::new(Method::HEAD, &read, &with))).await;
        suite.oracle(9, fillings.map(|with| Request::get(&read, &with).header("if-none-match", "*", &with))).await;
        let batch = |with: Filling<'_>| {
            let asked = json!({ "method": "GET", "url": format!("{of}/{{id}}") });
            let bundle = json!({ "resourceType": "Bundle", "type": "batch", "entry": [{ "request": asked }] });
            let what = format!("a batch of GET {of}/{{id}}");
            Request::new(Method::POST, "", &with).json(&bundle, "application/fhir+json", &what, &with)
        };
        suite.oracle(9, fillings.map(batch)).await;
    }
}

/// An id of the same form that nothing has.
fn absent(id: &str) -> String {
    let turned = |(place, c): (usize, char)| match c {
        // Its version and variant stay what they are in a UUID.
        _ if place == 14 || place == 19 => c,
        '0'..='4' | 'a'..='c' | 'A'..='C' => char::from_u32(u32::from(c) + 3).unwrap_or(c),
        '5'..='9' | 'd'..='f' | 'D'..='F' => char::from_u32(u32::from(c) - 3).unwrap_or(c),
        'g'..='y' | 'G'..='Y' => char::from_u32(u32::from(c) + 1).unwrap_or(c),
        _ => c,
    };
    id.chars().enumerate().map(turned).collect()
}

/// Requests with a mistake, whose answers may say more than what is wrong.
pub(super) async fn l19(suite: &mut Suite<'_>) {
    let resources: Vec<_> = seen(suite).collect();
    for resource in resources {
        let (of, with) = (resource.name, Filling::id(resource));
        let first = resource.withheld.first().map_or("text", |withheld| top(&withheld.path));
        for rest in [
            "/{id}/_history/zzz",
            "/{id}/_history/999999",
            "/{id}/zzz",
            "/{id}/$zzz",
            "/{id}?zzz=1",
            "/{id}?_summary=zzz",
            "/{id}?_elements=",
            "/{id}?_format=zzz",
            "?_id={id}&zzz=1",
            "?_id={id}&_count=-1",
            "?_id={id}&_count=zzz",
            "?_id={id}&_sort=zzz",
            "?_id={id}&_include=zzz",
            "?_id={id}&_lastUpdated=zzz",
            "?_id={id}&_filter=(((",
            "?_id={id}&name=%FF%FE",
            "?_id={id}&=",
            "?_id={id}&_has:zzz",
        ] {
            suite.canary(19, &Request::get(&format!("/{of}{rest}"), &with)).await;
        }
        suite.canary(19, &Request::get(&format!("/{of}/{{id}}/{first}"), &with)).await;
        for (name, value) in [
            ("if-none-match", "zzz"),
            ("if-modified-since", "zzz"),
            ("accept", "zzz/zzz"),
            ("prefer", "handling=strict"),
        ] {
            let request = Request::get(&format!("/{of}/{{id}}"), &with).header(name, value, &with);
            suite.canary(19, &request).await;
        }
        let wrong = Request::new(Method::POST, &format!("/{of}/_search"), &with);
        suite.canary(19, &wrong.form("_id={id}&zzz=1&_sort=zzz", &with)).await;
    }
    for guess in super::guesses(suite, 19) {
        // The value where none can stand: a message about it may tell more than the message about another.
        let (of, code) = (guess.resource.name, guess.by.code.as_str());
        suite.oracle(19, guess.requests(&format!("/{of}?_id={{id}}&{code}=zz{{value}}"))).await;
        suite.oracle(19, guess.requests(&format!("/{of}?_id={{id}}&{code}:zzz={{value}}"))).await;
    }
}
