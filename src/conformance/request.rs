//! A request as it is sent, and as it is told: with the names of elements in place of what they hold.
//!
//! INVARIANT: `told` is made of templates and of names of the standard. No value, id or credential gets into it.

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::spec::{Resource, Withheld};

/// What stands for itself in a path or a query (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// The caller of the spec.
    Caller,
    /// Nobody: no header field and no certificate of the spec's.
    Nobody,
    /// A bearer of this token, which nobody has signed.
    Bearer(String),
}

/// A request.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    /// What follows the target's address: a path that starts with a slash, a query, or nothing.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    pub(super) from: From,
    /// The request in words.
    pub(super) told: String,
    /// The texts that it says, as they may come back in an answer.
    pub(super) said: Vec<String>,
}

/// What templates are filled with: `{id}`, and `{value}` by where it stands.
#[derive(Clone, Copy)]
pub(super) struct Filling<'a> {
    id: &'a str,
    element: &'a str,
    value: &'a str,
}

impl<'a> Filling<'a> {
    /// With a resource's id alone.
    pub(super) fn id(resource: &'a Resource) -> Self {
        Self { id: &resource.id, element: "", value: "" }
    }

    /// With another id than the resource's.
    pub(super) fn other_id(id: &'a str) -> Self {
        Self { id, element: "", value: "" }
    }

    /// With what the resource has there, and with what it does not have.
    pub(super) fn guesses(resource: &'a Resource, withheld: &'a Withheld) -> Option<[Self; 2]> {
        let wrong = withheld.wrong.as_deref()?;
        let of = |value| Self { id: &resource.id, element: &withheld.element, value };
        Some([of(&withheld.value), of(wrong)])
    }

    /// With a word of the standard in place of the value.
    pub(super) fn word(resource: &'a Resource, word: &'a str) -> Self {
        Self { id: &resource.id, element: "true or false", value: word }
    }

    fn fill(&self, template: &str, write: impl Fn(&str) -> String) -> String {
        template.replace("{id}", self.id).replace("{value}", &write(self.value))
    }

    fn told(&self, template: &str) -> String {
        if self.element.is_empty() {
            template.to_owned()
        } else {
            template.replace("{value}", &format!("{{{}}}", self.element))
        }
    }
}

impl Request {
    /// A GET of a path or query below the target.
    pub(super) fn get(template: &str, with: &Filling<'_>) -> Self {
        Self::new(Method::GET, template, with)
    }

    pub(super) fn new(method: Method, template: &str, with: &Filling<'_>) -> Self {
        let told = format!("{method} {}", with.told(template));
        let target = with.fill(template, |value| encoded(&search_text(value)));
        let mut request = Self {
            method,
            target,
            headers: vec![("accept".to_owned(), "application/fhir+json".to_owned())],
            body: None,
            from: From::Caller,
            told,
            said: Vec::new(),
        };
        request.says(with);
        request
    }

    /// With a header field, in place of one of this name.
    pub(super) fn header(mut self, name: &str, template: &str, with: &Filling<'_>) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), with.fill(template, str::to_owned)));
        self.told.push_str(&format!(" ({name}: {})", with.told(template)));
        self
    }

    /// With a header field that is said without what it holds.
    pub(super) fn secret_header(mut self, name: &str, value: &str, what: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self.told.push_str(&format!(" ({name}: {what})"));
        self
    }

    /// With the fields of a form.
    pub(super) fn form(mut self, template: &str, with: &Filling<'_>) -> Self {
        self.told.push_str(&format!(" (form: {})", with.told(template)));
        self.body = Some(with.fill(template, |value| encoded(&search_text(value))));
        self.typed("application/x-www-form-urlencoded")
    }

    /// With a document, of whose strings each `{value}` is filled.
    pub(super) fn json(mut self, document: &Value, media_type: &str, what: &str, with: &Filling<'_>) -> Self {
        self.told.push_str(&format!(" ({})", with.told(what)));
        let quoted = |value: &str| {
            let text = Value::String(value.to_owned()).to_string();
            text.get(1..text.len().saturating_sub(1)).unwrap_or_default().to_owned()
        };
        self.body = Some(with.fill(&document.to_string(), quoted));
        self.typed(media_type)
    }

    pub(super) fn typed(mut self, media_type: &str) -> Self {
        self.headers.push(("content-type".to_owned(), media_type.to_owned()));
        self
    }

    pub(super) fn from(mut self, from: From, what: &str) -> Self {
        self.from = from;
        self.told.push_str(&format!(" ({what})"));
        self
    }

    /// In place of the words that the template makes.
    pub(super) fn told(mut self, told: impl Into<String>) -> Self {
        self.told = told.into();
        self
    }

    /// Adds what the filling says, in the ways in which a server may repeat it.
    fn says(&mut self, with: &Filling<'_>) {
        if !with.element.is_empty() {
            self.said.push(with.value.to_owned());
            self.said.push(search_text(with.value));
        } else if !with.id.is_empty() {
            self.said.push(with.id.to_owned());
        }
    }
}

/// A value in the query of a search, where some characters have a meaning (R4 search.html#escaping).
pub(super) fn search_text(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '\\' | ',' | '$' | '|') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// Percent-encoded, all but what stands for itself everywhere.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}
