//! The spec: how to call a server, which test patients it has, what the caller must see of them and what not.
//!
//! It is read whole or not at all: an unknown key, element or type is a mistake with its place. The values in it are the
//! very ones that must not be seen, and the headers hold credentials, so neither reaches a message, and a credential is
//! named by where it is and never written into the file.

mod file;

use std::fmt;
use std::path::{Path, PathBuf};

use http::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_saphyr::Spanned;

use self::file::{Existence, File, HeaderSource, ResourceText, WithheldText};
use crate::config;
use crate::fhir::interaction::is_id;
use crate::fhir::{Definitions, TypeId, suggest};
use crate::policy::{Finding, Position};

/// The shortest value that can be told from others that happen to be the same.
const SHORTEST: usize = 3;

/// Header fields that prove who calls; their values come from the environment or from a file.
const SECRET: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-api-key"];

/// A spec, read.
#[derive(Debug)]
pub struct Spec {
    file: Box<str>,
    base: PathBuf,
    headers: Vec<HeaderText>,
    pub(super) ca: Option<PathBuf>,
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    pub(super) allow: Vec<Allowed>,
    pub(super) resources: Vec<Resource>,
}

/// What is tried only where the spec allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allowed {
    /// Requests that could change data.
    Writes,
    /// The start of a bulk export, which is work for the server.
    Exports,
    /// Requests with two readings, to servers that are not on this machine: they could disturb others on one connection.
    Smuggling,
    /// The caller's token as a query parameter, which servers write into their logs.
    TokenInQuery,
}

/// A resource of the server's.
pub(super) struct Resource {
    pub(super) of: TypeId,
    pub(super) name: &'static str,
    pub(super) id: Box<str>,
    /// Whether the caller must not learn that it is there.
    pub(super) is_secret: bool,
    /// What must be seen of it, so that a server which refuses everything is not taken for one that filters.
    pub(super) shown: Vec<(Box<str>, Box<str>)>,
    pub(super) withheld: Vec<Withheld>,
}

/// An element of a resource that must not be seen.
pub(super) struct Withheld {
    /// `Patient.birthDate`
    pub(super) element: Box<str>,
    /// The path below the type.
    pub(super) path: Box<str>,
    /// What the resource has there. Never printed.
    pub(super) value: Box<str>,
    /// A value of the same kind that it does not have.
    pub(super) wrong: Option<Box<str>>,
}

/// The header fields of each request, with their secrets.
pub struct Credentials {
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
struct HeaderText {
    name: HeaderName,
    source: HeaderSource,
    at: Position,
}

impl Spec {
    /// Reads the text of a spec that stands at `path`; it reads no other file.
    ///
    /// # Errors
    /// Every mistake, by its place.
    pub fn parse(path: &Path, text: &str, definitions: &Definitions) -> Result<Self, Vec<Finding>> {
        let name: Box<str> = path.display().to_string().into();
        let file: File = serde_saphyr::from_str(text).map_err(|error| {
            let mut finding = config::mistake(&name, &error);
            finding.message = file::without_values(&finding.message).into();
            vec![finding]
        })?;
        let mut reader = Reader { file: name.clone(), definitions, mistakes: Vec::new() };
        if file.version.value != 1 {
            reader.mistake(&file.version, "this version of the spec is not known", Some("write version: 1".into()));
        }
        let headers = file.headers.0.into_iter().filter_map(|(key, source)| reader.header(&key, source)).collect();
        let identity = match (file.certificate, file.key) {
            (Some(certificate), Some(key)) => Some((certificate.value, key.value)),
            (None, None) => None,
            (Some(alone), None) | (None, Some(alone)) => {
                reader.mistake(&alone, "certificate and key go together", Some("give both or none".into()));
                None
            }
        };
        let resources: Vec<_> =
            file.resources.0.into_iter().filter_map(|(key, text)| reader.resource(&key, text)).collect();
        reader.whole(&resources);
        if !reader.mistakes.is_empty() {
            reader.mistakes.sort_by_key(|mistake| mistake.at);
            return Err(reader.mistakes);
        }
        let base = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Ok(Self { file: name, base, headers, ca: file.ca, identity, allow: file.allow, resources })
    }

    /// The header fields, with what the environment and the files say.
    ///
    /// # Errors
    /// Each that is not there, by its place in the spec.
    pub fn credentials(&self, environment: impl Fn(&str) -> Option<String>) -> Result<Credentials, Vec<Finding>> {
        let (mut headers, mut mistakes) = (Vec::new(), Vec::new());
        for HeaderText { name, source, at } in &self.headers {
            let text = match source {
                HeaderSource::Text(text) => fill(text, &environment),
                HeaderSource::File(file) => from_file(&self.base.join(file), name),
            };
            let value = text.and_then(|text| {
                let mut value = HeaderValue::from_str(text.trim())
                    .map_err(|_| "the value is not one line of visible characters".to_owned())?;
                value.set_sensitive(true);
                Ok(value)
            });
            match value {
                Ok(value) => headers.push((name.clone(), value)),
                Err(message) => mistakes.push(Finding {
                    file: self.file.clone(),
                    at: *at,
                    message: format!("{name}: {message}").into(),
                    suggestion: None,
                }),
            }
        }
        if mistakes.is_empty() { Ok(Credentials { headers }) } else { Err(mistakes) }
    }

    /// The folder that paths start from.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    pub(super) fn allows(&self, what: Allowed) -> bool {
        self.allow.contains(&what)
    }
}

// Of both the values are what nobody must see.
impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name).field("withheld", &self.withheld).finish_non_exhaustive()
    }
}

impl fmt::Debug for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.element)
    }
}

// What it holds is secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.headers.iter().map(|(name, _)| name)).finish()
    }
}

struct Reader<'a> {
    file: Box<str>,
    definitions: &'a Definitions,
    mistakes: Vec<Finding>,
}

impl Reader<'_> {
    fn mistake<T>(&mut self, at: &Spanned<T>, message: impl Into<Box<str>>, suggestion: Option<Box<str>>) {
        let at = config::position(at.referenced);
        self.mistakes.push(Finding { file: self.file.clone(), at, message: message.into(), suggestion });
    }

    fn header(&mut self, key: &Spanned<String>, source: HeaderSource) -> Option<HeaderText> {
        let Ok(name) = HeaderName::try_from(key.value.as_str()) else {
            self.mistake(key, "this is no name of a header field", None);
            return None;
        };
        if SECRET.contains(&name.as_str()) && matches!(&source, HeaderSource::Text(text) if !text.contains("${")) {
            let suggestion = "write \"Bearer ${NAME}\" and set NAME in the environment, or { file: FILE }";
            self.mistake(
                key,
                format!("the value of {name} is a secret and must not stand here"),
                Some(suggestion.into()),
            );
        }
        Some(HeaderText { name, source, at: config::position(key.referenced) })
    }

    fn resource(&mut self, key: &Spanned<String>, text: ResourceText) -> Option<Resource> {
        let Some((name, id)) = key.value.split_once('/') else {
            self.mistake(key, "this is no resource", Some("write its type and its id: Patient/123".into()));
            return None;
        };
        let Some(of) = self.definitions.resource(name) else {
            let near = suggest(name, self.definitions.resource_types().map(|(_, known)| known.name));
            self.mistake(key, format!("unknown resource type {name}"), near.map(did_you_mean));
            return None;
        };
        if !is_id(id) {
            self.mistake(key, "what follows the / is no id", Some("ids are letters, digits, - and .".into()));
        }
        let name = self.definitions.get(of).name;
        let mut shown: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (path, value) in text.shown.0 {
            if self.element(of, &path) && self.value(&path, &value) {
                shown.push((path.value.into(), value.into()));
            }
        }
        let mut withheld = Vec::new();
        for (path, WithheldText { value, wrong }) in text.withheld.0 {
            if !self.element(of, &path) || !self.value(&path, &value) {
                continue;
            }
            if shown.iter().any(|(_, seen)| is_within(&value, seen)) {
                self.mistake(&path, "the value stands in what must be seen as well: nothing could be told by it", None);
            }
            if wrong.as_ref().is_some_and(|wrong| is_within(&value, wrong) || is_within(wrong, &value)) {
                self.mistake(&path, "wrong must be another value, of which neither holds the other", None);
            }
            let element = format!("{name}.{}", path.value).into();
            let (value, wrong) = (value.into(), wrong.map(Into::into));
            withheld.push(Withheld { element, path: path.value.into(), value, wrong });
        }
        let is_secret = text.existence == Existence::Withheld;
        if is_secret && !shown.is_empty() {
            self.mistake(key, "of a resource whose existence is withheld nothing can be shown", None);
        }
        Some(Resource { of, name, id: id.into(), is_secret, shown, withheld })
    }

    fn element(&mut self, of: TypeId, path: &Spanned<String>) -> bool {
        if self.definitions.element_at(of, &path.value).is_some() {
            return true;
        }
        let name = self.definitions.get(of).name;
        let suggestion = match path.value.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) {
            Some(rest) => Some(format!("write {rest}, the type stands above").into()),
            None => self.near(of, &path.value),
        };
        self.mistake(path, format!("{name} has no element {}", path.value), suggestion);
        false
    }

    /// The path with its first wrong step put right.
    fn near(&self, of: TypeId, path: &str) -> Option<Box<str>> {
        let (mut known, mut right): (Vec<TypeId>, Vec<&str>) = (vec![of], Vec::new());
        for step in path.split('.') {
            match known.iter().find_map(|of| self.definitions.element_at(*of, step)) {
                Some(found) => {
                    right.push(step);
                    known = found.types.iter().map(|form| form.target).collect();
                }
                None => {
                    let types = known.iter().map(|of| self.definitions.get(*of));
                    let names = types.flat_map(|of| of.elements().iter().flat_map(|element| element.json_names()));
                    right.push(suggest(step, names.map(|(name, _)| name))?);
                    return Some(did_you_mean(&right.join(".")));
                }
            }
        }
        None
    }

    fn value(&mut self, at: &Spanned<String>, value: &str) -> bool {
        let is_long_enough = value.trim().chars().count() >= SHORTEST;
        if !is_long_enough {
            let message = format!("a value of fewer than {SHORTEST} characters can stand anywhere by chance");
            self.mistake(at, message, Some("take an element, or a test patient, with a longer one".into()));
        }
        is_long_enough
    }

    fn whole(&mut self, resources: &[Resource]) {
        let mut lacks = |what: &str, suggestion: &str| {
            let at = Position { line: 1, column: 1 };
            let (message, suggestion) = (what.into(), Some(suggestion.into()));
            self.mistakes.push(Finding { file: self.file.clone(), at, message, suggestion });
        };
        if resources.iter().all(|resource| resource.shown.is_empty()) {
            lacks(
                "no resource has shown: a server that refuses everything could not be told from one that filters",
                "name an element that the caller must see",
            );
        }
        if resources.iter().all(|resource| resource.withheld.is_empty() && !resource.is_secret) {
            lacks("nothing is withheld", "name elements that the caller must not see");
        }
    }
}

fn did_you_mean(name: &str) -> Box<str> {
    format!("did you mean {name}?").into()
}

fn is_within(part: &str, whole: &str) -> bool {
    whole.to_lowercase().contains(&part.to_lowercase())
}

fn fill(text: &str, environment: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("a ${ has no }")?;
        filled.push_str(before);
        filled.push_str(&environment(name).ok_or_else(|| format!("the environment has no {name}"))?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The value in a file: alone, or behind the field's name as `curl -H @FILE` takes it.
fn from_file(path: &Path, name: &HeaderName) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    let value = text.split_once(':').filter(|(field, _)| field.eq_ignore_ascii_case(name.as_str()));
    Ok(value.map_or(text.as_str(), |(_, value)| value).to_owned())
}
