//! L10, L12, L14, L15, L18, L29: searches by a withheld element, in every way that a query can be written.

use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::request::{Filling, From, Request, encoded};
use super::super::suite::Suite;
use super::super::tested;
use super::{Guess, guesses, seen, top};
use crate::fhir::definitions::{Mapping, ParameterKind};

/// How many parameters are tried on a page link.
const ON_A_PAGE: usize = 4;

/// A search by the parameter, with each modifier and prefix that its kind has.
pub(super) async fn l10(suite: &mut Suite<'_>) {
    for guess in guesses(suite, 10) {
        let (of, code) = (guess.resource.name, guess.by.code.as_str());
        if guess.by.mapping == Mapping::Composite {
            composite(suite, &guess).await;
        } else {
            for template in ways_to_ask(of, code, guess.by.kind) {
                suite.oracle(10, guess.requests(&template)).await;
            }
        }
        let missing = format!("/{of}?_id={{id}}&{code}:missing={{value}}");
        let fillings = ["true", "false"].map(|word| Filling::word(guess.resource, word));
        suite.oracle(10, fillings.map(|with| Request::get(&missing, &with))).await;
    }
}

fn ways_to_ask(of: &str, code: &str, kind: ParameterKind) -> Vec<String> {
    let modifiers: &[&str] = match kind {
        ParameterKind::String => &["exact", "contains"],
        ParameterKind::Token => &["not", "text", "above", "below", "of-type"],
        ParameterKind::Reference => &["identifier", "text", "Patient", "below"],
        ParameterKind::Uri => &["above", "below", "contains"],
        _ => &[],
    };
    let prefixes: &[&str] = match kind {
        ParameterKind::Date | ParameterKind::Number | ParameterKind::Quantity => {
            &["eq", "ne", "lt", "gt", "le", "ge", "sa", "eb", "ap"]
        }
        ParameterKind::Token => &["%7C"],
        _ => &[],
    };
    let mut templates = vec![
        format!("/{of}?_id={{id}}&{code}={{value}}"),
        format!("/{of}?{code}={{value}}"),
        format!("/{of}?_id={{id}}&{code}=zzz,{{value}}"),
        format!("/?_type={of}&_id={{id}}&{code}={{value}}"),
    ];
    templates.extend(modifiers.iter().map(|modifier| format!("/{of}?_id={{id}}&{code}:{modifier}={{value}}")));
    templates.extend(prefixes.iter().map(|prefix| format!("/{of}?_id={{id}}&{code}={prefix}{{value}}")));
    templates
}

async fn composite(suite: &mut Suite<'_>, guess: &Guess<'_>) {
    let (of, code) = (guess.resource.name, guess.by.code.as_str());
    let made = tested::composite(&suite.definitions, guess.resource, guess.withheld, guess.by);
    let Some((value, others)) = made else {
        return suite.skip(10, format!("{code} of {of}: the spec has no value for its other part"));
    };
    let mut requests = guess.requests(&format!("/{of}?_id={{id}}&{code}={value}"));
    for request in &mut requests {
        // The other part is a value of the resource's as well.
        request.told = format!("GET /{of}?_id={{id}}&{code}={{{}}} and its other part", guess.withheld.element);
        request.said.extend(others.iter().cloned());
    }
    suite.oracle(10, requests).await;
}

/// A list sorted up and down.
pub(super) async fn l12(suite: &mut Suite<'_>) {
    let mut asked = std::collections::BTreeSet::new();
    // Of a resource that is withheld as a whole the element may be seen in others, which may be sorted by it.
    for guess in guesses(suite, 12).into_iter().filter(|guess| !guess.resource.is_secret) {
        let (of, code) = (guess.resource.name, guess.by.code.as_str());
        if guess.by.mapping == Mapping::Composite || !asked.insert((of, code)) {
            continue;
        }
        for (up, down) in [(code.to_owned(), format!("-{code}")), (format!("{code},_id"), format!("-{code},_id"))] {
            let sorted = |by: &str| Request::get(&format!("/{of}?_sort={by}&_count=50"), &Filling::id(guess.resource));
            suite.order(12, [sorted(&up), sorted(&down)]).await;
        }
    }
}

/// The same parameters in a form, in the query of a form, and divided.
pub(super) async fn l14(suite: &mut Suite<'_>) {
    for guess in guesses(suite, 14).into_iter().filter(|guess| guess.by.mapping != Mapping::Composite) {
        let (of, code) = (guess.resource.name, guess.by.code.as_str());
        let (alone, all) = (format!("{code}={{value}}"), format!("_id={{id}}&{code}={{value}}"));
        for (query, form) in [
            (String::new(), all.as_str()),
            (String::new(), alone.as_str()),
            (format!("?{alone}"), "_id={id}"),
            ("?_id={id}".to_owned(), alone.as_str()),
            (format!("?{code}=zzz"), alone.as_str()),
        ] {
            let target = format!("/{of}/_search{query}");
            let posted = guess.fillings.map(|with| Request::new(Method::POST, &target, &with).form(form, &with));
            suite.oracle(14, posted).await;
        }
        suite.oracle(14, guess.requests(&format!("/{of}/_search?{all}"))).await;
        let system = guess
            .fillings
            .map(|with| Request::new(Method::POST, "/_search", &with).form(&format!("_type={of}&{all}"), &with));
        suite.oracle(14, system).await;
    }
}

/// Parts of a resource, and counts of matches.
pub(super) async fn l15(suite: &mut Suite<'_>) {
    let resources: Vec<_> = seen(suite).collect();
    for resource in resources {
        let (of, with) = (resource.name, Filling::id(resource));
        for summary in ["true", "text", "data", "count", "false"] {
            for place in ["/{id}?", "?_id={id}&"] {
                let request = Request::get(&format!("/{of}{place}_summary={summary}"), &with);
                suite.canary(15, &request).await;
            }
        }
        for withheld in &resource.withheld {
            let top = top(&withheld.path);
            for elements in [top.to_owned(), format!("{of}.{top}"), withheld.path.to_string(), format!("id,_{top}")] {
                for place in ["/{id}?", "?_id={id}&"] {
                    let request = Request::get(&format!("/{of}{place}_elements={elements}"), &with);
                    suite.canary(15, &request).await;
                }
            }
        }
    }
    for guess in guesses(suite, 15).into_iter().filter(|guess| guess.by.mapping != Mapping::Composite) {
        let (of, code) = (guess.resource.name, guess.by.code.as_str());
        for counted in ["_summary=count", "_count=0", "_count=0&_total=accurate", "_total=estimate&_elements=id"] {
            suite.oracle(15, guess.requests(&format!("/{of}?{code}={{value}}&{counted}"))).await;
        }
    }
}

/// The link of a next page: without credentials, with more parameters, with fewer, and with others.
pub(super) async fn l18(suite: &mut Suite<'_>) {
    let mut types: Vec<_> = seen(suite).map(|resource| (resource.name, resource)).collect();
    types.dedup_by_key(|(name, _)| *name);
    let all = guesses(suite, 18);
    let mut found = false;
    for (of, resource) in types {
        let with = Filling::id(resource);
        let first = Request::get(&format!("/{of}?_count=1"), &with);
        let Some(link) = suite.canary(18, &first).await.and_then(|answer| next(&answer.json()?)) else { continue };
        let Some(link) = suite.client.below(&link) else {
            suite.skip(18, format!("the next page of {of} is at another address, which is not asked"));
            continue;
        };
        found = true;
        let page = |target: String, what: String| {
            let mut request = Request::get("", &with).told(format!("GET the next page of {of}, {what}"));
            request.target = target;
            request
        };
        suite.canary(18, &page(link.clone(), "as it is".into())).await;
        if suite.client.has_credentials() {
            let request = page(link.clone(), String::new()).told(format!("GET the next page of {of}"));
            suite.stranger(18, &request.from(From::Nobody, "without credentials")).await;
        }
        let (path, query) = link.split_once('?').unwrap_or((&link, ""));
        for (place, (name, changed)) in changes(query).into_iter().enumerate() {
            let what = format!("with its parameter {} {name}", place / 2 + 1);
            suite.canary(18, &page(format!("{path}?{changed}"), what)).await;
        }
        let of_type = |guess: &&Guess<'_>| guess.resource.name == of && guess.by.mapping != Mapping::Composite;
        for guess in all.iter().filter(of_type).take(ON_A_PAGE) {
            let added = format!("&{}={{value}}", guess.by.code);
            for more in more(path, query) {
                let pages = guess.fillings.map(|with| {
                    let mut request = Request::get(&added, &with);
                    let said = request.told.trim_start_matches("GET &").to_owned();
                    request.told = format!("GET the next page of {of}, with {said}");
                    request.target = more(&request.target);
                    request
                });
                suite.oracle(18, pages).await;
            }
        }
    }
    if !found {
        suite.skip(18, "no search of a type of the spec has a next page");
    }
}

/// The address of the next page.
fn next(bundle: &Value) -> Option<String> {
    let links = bundle.get("link")?.as_array()?;
    let next = links.iter().find(|link| link.get("relation").is_some_and(|relation| relation == "next"))?;
    Some(next.get("url")?.as_str()?.to_owned())
}

/// A query without each of its parameters, and with each of them changed.
fn changes(query: &str) -> Vec<(&'static str, String)> {
    let parts: Vec<&str> = query.split('&').collect();
    let mut changes = Vec::new();
    for place in 0..parts.len() {
        let without = parts.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, part)| *part);
        changes.push(("left out", without.collect::<Vec<_>>().join("&")));
        let changed =
            parts.iter().enumerate().map(|(at, part)| if at == place { altered(part) } else { (*part).to_owned() });
        changes.push(("changed", changed.collect::<Vec<_>>().join("&")));
    }
    changes
}

/// A parameter with the last character of its value changed.
fn altered(part: &str) -> String {
    let mut characters: Vec<char> = part.chars().collect();
    if let Some(last) = characters.last_mut() {
        *last = match *last {
            'a'..='y' | 'A'..='Y' | '0'..='8' => char::from_u32(u32::from(*last) + 1).unwrap_or('0'),
            _ => '1',
        };
    }
    characters.into_iter().collect()
}

type Adds = Box<dyn Fn(&str) -> String + Send + Sync>;

/// The ways to add a parameter to a page's link: behind it, and within what it keeps encoded.
fn more(path: &str, query: &str) -> Vec<Adds> {
    let link = format!("{path}?{query}");
    let mut ways: Vec<Adds> = vec![Box::new(move |added| format!("{link}{added}"))];
    for part in query.split('&') {
        let Some((name, value)) = part.split_once('=') else { continue };
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        let Some(inner) = kept(&value) else { continue };
        let (path, name) = (path.to_owned(), name.to_owned());
        ways.push(Box::new(move |added| {
            use base64::Engine;
            let changed = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{inner}{added}"));
            format!("{path}?{name}={}", encoded(&changed))
        }));
    }
    ways
}

/// The query that a page's token keeps, where it is only encoded.
fn kept(token: &str) -> Option<String> {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let token = token.trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD.decode(token).or_else(|_| STANDARD_NO_PAD.decode(token)).ok()?;
    String::from_utf8(bytes).ok().filter(|text| text.contains('=') && text.contains(['?', '&']))
}

/// The same parameter under names that one reader takes for it and another does not.
pub(super) async fn l29(suite: &mut Suite<'_>) {
    for guess in guesses(suite, 29).into_iter().filter(|guess| guess.by.mapping != Mapping::Composite) {
        let (of, code) = (guess.resource.name, guess.by.code.as_str());
        let (first, rest) = code.split_at(code.chars().next().map_or(0, char::len_utf8));
        let hex = first.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let capital = first.to_uppercase();
        for tail in [
            format!("&%{hex}{rest}={{value}}"),
            format!("&%25{hex}{rest}={{value}}"),
            format!("&{capital}{rest}={{value}}"),
            format!("&{}={{value}}", code.to_uppercase()),
            format!("&{code}=zzz&{code}={{value}}"),
            format!("&{code}={{value}}&{code}={{value}}"),
            format!(";{code}={{value}}"),
            format!("&amp;{code}={{value}}"),
            format!("%26{code}={{value}}"),
            format!("&{code}[]={{value}}"),
            format!("&{code}%00={{value}}"),
            format!("&%20{code}={{value}}"),
            format!("&{code}%20={{value}}"),
            format!("&{code}:={{value}}"),
            format!("&{code}%3Aexact={{value}}"),
            format!("&_query=&{code}={{value}}"),
        ] {
            suite.oracle(29, guess.requests(&format!("/{of}?_id={{id}}{tail}"))).await;
        }
    }
}
