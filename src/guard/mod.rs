//! What a permitted request may still not ask: searches by hidden elements, pages that are somebody else's.
//!
//! It turns a request into the one that goes upstream, written anew from what was read of it, or refuses it by name. It
//! must never let through a parameter that it does not know the reach of. Pure: no I/O, no clock.

mod bounded;
mod criteria;
pub mod onward;
mod operation;
pub mod paging;
mod query;
pub mod sealed;
mod search;
mod validator;
pub mod write;

pub use self::paging::PageKey;
pub use self::query::QueryError;
pub use self::search::Declared;

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;

use self::paging::Bound;
use self::query::Parameter;
use self::search::{Fate, Rules, Scope};
use crate::fhir::filter::FilterError;
use crate::fhir::interaction::{Compartment, Kind, is_id};
use crate::fhir::search::{Control, ParameterName, SearchError};
use crate::fhir::{Definitions, Interaction, TypeId};
use crate::net::address::CanonicalPath;
use crate::policy::CheckedRole;

/// Guards the requests of one caller, in one role, at one endpoint.
pub struct Guard<'a> {
    /// What the role sees.
    pub view: &'a CheckedRole,
    /// The definitions of FHIR.
    pub definitions: &'a Definitions,
    /// The key of page links.
    pub page_key: &'a PageKey,
    /// What page links are bound to.
    pub bound: Bound<'a>,
    /// When the request came.
    pub now: Timestamp,
    /// How long a page link holds.
    pub link_lifetime: Duration,
    /// Names of page parameters, besides those that are known of common servers.
    pub page_parameters: &'a [Box<str>],
    /// The search parameters of the upstream's own, and what they test.
    pub declared: &'a Declared,
    /// Whether the upstream takes the types that an operation is to hold (`_type`).
    pub takes_types: bool,
    /// The most matches that a page may be asked to hold.
    pub most_count: u32,
}

/// What a request asks for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The FHIR interaction; `None` for a document.
    pub interaction: Option<&'a Interaction>,
    /// The path below the endpoint.
    pub path: &'a CanonicalPath,
    /// The query, as it came.
    pub query: Option<&'a str>,
    /// The body of a POST `_search`, as it came.
    pub form: Option<&'a [u8]>,
    /// What nothing may match for a create to be done (`If-None-Exist`).
    pub if_none_exist: Option<&'a str>,
}

/// What goes upstream of a request. Its query and form hold nothing that was not admitted.
#[derive(PartialEq, Eq)]
pub struct Admission {
    /// The path below the upstream's URL.
    pub path: CanonicalPath,
    /// The query, without its `?`.
    pub query: Option<String>,
    /// The form of a POST `_search`; `None` where the request is a GET.
    pub form: Option<String>,
    /// What is searched, by the name that links to its pages are bound to; `None` where it is no search.
    pub searched: Option<String>,
    /// What resources the answer may hold: types, or a type and the one id. `None` where it is all that the view shows.
    pub holds: Option<Vec<Box<str>>>,
    /// A resource of which the caller must see something before anything is asked; one that is withheld then looks like one
    /// that is not there (L09).
    pub seen_first: Option<CanonicalPath>,
    /// What nothing may match for a create to be done.
    pub if_none_exist: Option<String>,
}

/// Why a request is refused. Names what to change; never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// The query or the form has no one reading.
    #[error("the request's parameters can't be read")]
    Query(#[from] QueryError),
    /// The name of a parameter is not in the standard's grammar.
    #[error("the name of a parameter can't be read")]
    Name(#[source] SearchError),
    /// Another representation than JSON.
    #[error("_format asks for something else than JSON: leave it out or ask for application/fhir+json")]
    Format,
    /// A parameter that the resource type does not have.
    #[error("{of} has no search parameter {parameter} that this gateway knows: leave it out")]
    Unknown {
        /// Its name.
        parameter: Box<str>,
        /// The type, or what else was asked for.
        of: Box<str>,
    },
    /// A parameter tests an element that the role does not see as it is.
    #[error("{parameter} tests {element}, which this role does not see as it is: search by what it sees")]
    Hidden {
        /// The parameter's name.
        parameter: Box<str>,
        /// The element.
        element: Box<str>,
    },
    /// A parameter depends on a type that the role does not see.
    #[error(
        "{parameter} looks at {of}, of which this role sees nothing; where a chain may lead to several types name one"
    )]
    Unseen {
        /// The parameter's name.
        parameter: Box<str>,
        /// The type.
        of: Box<str>,
    },
    /// A parameter depends on a type of which the role sees some resources alone: a match would tell of the others.
    #[error("{parameter} looks at {of}, of which this role sees some resources alone, and would tell of the others")]
    Rows {
        /// The parameter's name.
        parameter: Box<str>,
        /// The type.
        of: Box<str>,
    },
    /// The value of `_filter` can't be read, or not in one way.
    #[error("_filter can't be read")]
    Filter(#[source] FilterError),
    /// A modifier of which it is not sure what it tests.
    #[error("{parameter} has a modifier of which it is not sure what it tests: leave it out")]
    Modifier {
        /// The parameter's name.
        parameter: Box<str>,
    },
    /// A parameter whose elements are not known.
    #[error("what {parameter} tests can't be followed to its elements, so this role may not use it")]
    Unfollowed {
        /// The parameter's name.
        parameter: Box<str>,
    },
    /// A feature that a role from which something is withheld may not use.
    #[error("this role may not use {parameter}: {instead}")]
    Unsupported {
        /// The parameter or feature.
        parameter: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A value that the parameter does not take.
    #[error("{parameter} takes {takes}")]
    Value {
        /// The parameter's name.
        parameter: &'static str,
        /// What it takes.
        takes: &'static str,
    },
    /// A page link that was changed, has ended, or was given to another caller, in another role or under an earlier policy.
    #[error(
        "this page link is not of this caller, role and policy, was changed or has ended: ask again for the first page"
    )]
    PageLink,
    /// An operation that is not let through.
    #[error("this operation is not let through; those that are: $everything, $export, $lastn and $validate")]
    Operation,
}

impl Guard<'_> {
    /// The request that goes upstream.
    ///
    /// # Errors
    /// What the request asks for and may not.
    pub fn admit(&self, asked: Asked<'_>) -> Result<Admission, GuardError> {
        if let Some(interaction) = asked.interaction {
            self.knows_by_id(interaction)?;
        }
        let mut parameters = query::read(asked.query.unwrap_or_default().as_bytes())?;
        let in_query = parameters.len();
        parameters.extend(query::read(asked.form.unwrap_or_default())?);
        let scope = match asked.interaction {
            Some(interaction) => self.scope(interaction, &parameters)?,
            None => None,
        };
        let (mut holds, mut seen_first, mut if_none_exist) = (None, None, None);
        let admitted = match (asked.interaction, &scope) {
            (_, Some(scope)) => {
                let in_form = parameters.len() > in_query;
                self.search(scope, asked.path, parameters, in_form)?
            }
            (None, None) => Self::document(parameters)?,
            (Some(interaction), None) => match interaction.kind {
                Kind::Read | Kind::Vread | Kind::Capabilities | Kind::Batch => Self::one(parameters)?,
                Kind::Create => {
                    if_none_exist =
                        asked.if_none_exist.map(|criteria| self.none_exist(interaction, criteria)).transpose()?;
                    Self::one(parameters)?
                }
                Kind::Update | Kind::Patch | Kind::Delete if interaction.conditional => {
                    self.criteria(interaction, parameters)?
                }
                Kind::Update | Kind::Patch | Kind::Delete => Self::one(parameters)?,
                Kind::Transaction if self.view.restricted() => {
                    return Err(GuardError::Unsupported { parameter: "a transaction", instead: SEND_A_BATCH });
                }
                Kind::Transaction => Self::one(parameters)?,
                Kind::HistoryInstance | Kind::HistoryType | Kind::HistorySystem => {
                    self.history(interaction, parameters)?
                }
                Kind::Operation => {
                    let called = self.operation(interaction, asked.path, parameters)?;
                    (holds, seen_first) = (called.holds, called.seen_first);
                    called.parameters
                }
                // Their scope was found above.
                Kind::SearchType | Kind::SearchSystem => return Err(GuardError::PageLink),
            },
        };
        let text = query::write(&admitted);
        let path = asked.path.clone();
        let searched = scope.map(|scope| scope.name(self.definitions));
        let (query, form) = match asked.form {
            // Where a caller has kept its parameters out of the upstream's logs they stay so.
            Some(_) => (None, Some(text.unwrap_or_default())),
            None => (text, None),
        };
        Ok(Admission { path, query, form, searched, holds, seen_first, if_none_exist })
    }

    /// The address that a caller may have of one that the upstream wrote, a path and a query below both bases. `searched`:
    /// what the request has searched, where it was a search.
    pub fn link(&self, path: &CanonicalPath, query: Option<&str>, searched: Option<&str>) -> Option<String> {
        let segments: Vec<&str> = path.segments().iter().map(String::as_str).collect();
        let Some(query) = query else { return self.resource_link(&segments) };
        let parameters = query::read(query.as_bytes()).ok()?;
        let of_type = |name: &str, compartment: Option<&Compartment>| {
            self.definitions.resource(name).map(|of| Scope::of_type(of, compartment))
        };
        let (scope, path) = match segments.as_slice() {
            [] | ["_search"] => {
                let named = self.named_types(&parameters).ok()?.map(Scope::of_system);
                let searched = || Scope::named(self.definitions, searched?);
                (named.or_else(searched)?, "/".to_owned())
            }
            [resource] | [resource, "_search"] => (of_type(resource, None)?, format!("/{resource}")),
            [within, id, resource] => {
                self.resource_link(&[*within, *id])?;
                let compartment = Compartment { resource_type: (*within).into(), id: (*id).into() };
                (of_type(resource, Some(&compartment))?, format!("/{within}/{id}/{resource}"))
            }
            _ => return None,
        };
        let rules = Rules { guard: self, scope: &scope };
        rules.may_look().ok()?;
        let mut lost = false;
        let sifted = rules.sift(parameters, |_| {
            lost = true;
            Ok(())
        });
        let Sifted { mut kept, tags, has_state } = sifted.ok()?;
        if has_state {
            // INVARIANT: a tag is put on links of this very search alone, and on none that asks for what it may not.
            let name = scope.name(self.definitions);
            if lost || !tags.is_empty() || searched != Some(&*name) {
                return None;
            }
            let tag = paging::tag(self.page_key, self.bound, self.until(), &name, &path, &kept)?;
            kept.push((paging::TAG.to_owned(), tag));
        } else if segments.is_empty() && !scope.is_system() {
            return None;
        }
        let query = query::write(&kept).map(|query| format!("?{query}")).unwrap_or_default();
        Some(format!("{}{query}", path.trim_end_matches('/')))
    }

    fn resource_link(&self, segments: &[&str]) -> Option<String> {
        let (resource, paths) = match segments {
            [resource] => (*resource, &[][..]),
            [resource, _] => (*resource, &["id"][..]),
            [resource, _, "_history", _] => (*resource, &["id", "meta.versionId"][..]),
            _ => return None,
        };
        let type_id = self.definitions.resource(resource)?;
        // An id that is replaced by a pseudonym must not stand in an address.
        let shows = |path: &&str| self.view.shows_all(self.definitions, type_id, path);
        let shown = self.view.sees(type_id) && paths.iter().all(shows);
        let ids = segments.iter().skip(1).filter(|segment| **segment != "_history");
        let valid = ids.clone().all(|id| is_id(id));
        (shown && valid).then(|| segments.iter().map(|segment| format!("/{segment}")).collect())
    }

    /// Whether the role knows a resource by the id that a request names: whoever is shown a likeness of the id, or none, would
    /// learn by asking which resource it stands for (L10).
    fn knows_by_id(&self, interaction: &Interaction) -> Result<(), GuardError> {
        let named = interaction.id.as_ref().and(interaction.resource_type.as_deref());
        let within = interaction.compartment.as_ref().map(|compartment| &*compartment.resource_type);
        let Some(of) = named.or(within).filter(|_| self.view.restricted()) else { return Ok(()) };
        match self.definitions.resource(of) {
            Some(id) if !self.view.shows_all(self.definitions, id, "id") => {
                Err(GuardError::Hidden { parameter: "the id in the path".into(), element: format!("{of}.id").into() })
            }
            _ => Ok(()),
        }
    }

    /// What an interaction searches; `None` where it is no search.
    fn scope(&self, interaction: &Interaction, parameters: &[Parameter]) -> Result<Option<Scope>, GuardError> {
        let compartment = interaction.compartment.as_ref();
        match (interaction.kind, interaction.resource_type.as_deref()) {
            (Kind::SearchType, Some(of)) => Ok(self.definitions.resource(of).map(|of| Scope::of_type(of, compartment))),
            // What all types have in a compartment is all that there is of it.
            (Kind::SearchSystem, None) if compartment.is_some() => Ok(Some(Scope::of_system(Vec::new()))),
            (Kind::SearchSystem, None) => {
                if let Some(types) = self.named_types(parameters)? {
                    return Ok(Some(Scope::of_system(types)));
                }
                // A page of a search says what it is a page of; its tag proves that.
                let claims = parameters.iter().filter(|(name, _)| name == paging::TAG);
                let claimed = claims.filter_map(|(_, tag)| paging::claimed(tag)).next();
                let scope = claimed.and_then(|name| Scope::named(self.definitions, name)).filter(Scope::is_system);
                Ok(Some(scope.unwrap_or_else(|| Scope::of_system(Vec::new()))))
            }
            _ => Ok(None),
        }
    }

    /// The types that the parameters of a search of the system name; `None` where they name none. For a role that sees
    /// everything it does not matter.
    fn named_types(&self, parameters: &[Parameter]) -> Result<Option<Vec<TypeId>>, GuardError> {
        if !self.view.restricted() {
            return Ok(None);
        }
        let is_type = |name: &str| ParameterName::parse(name) == Ok(ParameterName::Control(Control::Type));
        let mut named: Option<Vec<TypeId>> = None;
        for (_, value) in parameters.iter().filter(|(name, _)| is_type(name)) {
            named.get_or_insert_default().extend(search::named_types(self, value)?);
        }
        Ok(named)
    }

    fn search(
        &self,
        scope: &Scope,
        path: &CanonicalPath,
        parameters: Vec<Parameter>,
        in_form: bool,
    ) -> Result<Vec<Parameter>, GuardError> {
        let rules = Rules { guard: self, scope };
        rules.may_look()?;
        let Sifted { kept: mut admitted, tags, has_state } = rules.sift(parameters, Err)?;
        let name = scope.name(self.definitions);
        // A type is searched at the root by a page link alone.
        let is_page = has_state || path.segments().is_empty() && !scope.is_system();
        let now = self.now.as_second();
        let bears = |tag: &String| paging::bears(self.page_key, self.bound, now, &name, path.as_str(), &admitted, tag);
        match tags.as_slice() {
            [] if !is_page => {
                rules.widen(&mut admitted);
                Ok(admitted)
            }
            [tag] if !in_form && bears(tag) => Ok(admitted),
            _ => Err(GuardError::PageLink),
        }
    }

    /// The parameters of a read: they say how the answer is written, and may ask for less of it.
    fn one(parameters: Vec<Parameter>) -> Result<Vec<Parameter>, GuardError> {
        for (name, value) in parameters {
            let known = match ParameterName::parse(&name).map_err(GuardError::Name)? {
                ParameterName::Control(control) => {
                    // A part of a resource may lack what the view's rows and conditions look at; the whole is asked for.
                    let narrows = name == "_elements" || name == "_summary";
                    narrows || search::presentation(control, &value)?.is_some()
                }
                ParameterName::Test(_) => false,
            };
            if !known {
                return Err(GuardError::Unknown { parameter: name.into(), of: "this interaction".into() });
            }
        }
        Ok(Vec::new())
    }

    /// The validator of a version of a resource, given the upstream's; `None` where the caller may not know of versions.
    pub fn validator(&self, path: &CanonicalPath, upstream: &str) -> Option<String> {
        let [resource, id, ..] = path.segments() else { return None };
        let type_id = self.definitions.resource(resource)?;
        let shows = self.view.shows_all(self.definitions, type_id, "meta.versionId");
        shows.then(|| validator::tag(self.page_key, self.bound, [resource, id], upstream)).flatten()
    }

    /// The validator of a version of a file, as it is let through on a day; `None` where the upstream doesn't say that the
    /// version is the same byte for byte (RFC 9110, section 8.8.1).
    pub fn file_validator(&self, path: &CanonicalPath, upstream: &str, today: Date) -> Option<String> {
        let version = (!upstream.starts_with("W/")).then(|| format!("{upstream} {today}"))?;
        let weak = validator::tag(self.page_key, self.bound, ["", path.as_str()], &version)?;
        weak.strip_prefix("W/").map(str::to_owned)
    }

    /// Whether the caller was given this validator of the version.
    pub fn is_validator(&self, path: &CanonicalPath, upstream: &str, validator: &str) -> bool {
        let [resource, id, ..] = path.segments() else { return false };
        validator::bears(self.page_key, self.bound, [resource, id], upstream, validator)
    }

    /// A document's API has parameters of its own, whose reach nobody has told the gateway.
    fn document(parameters: Vec<Parameter>) -> Result<Vec<Parameter>, GuardError> {
        if parameters.is_empty() { Ok(parameters) } else { Err(NO_PARAMETERS) }
    }
}

/// The parameters of a search, as far as they go upstream.
struct Sifted {
    kept: Vec<Parameter>,
    /// What stood as tags of page links, of which nothing is proven.
    tags: Vec<String>,
    /// Whether one of those that are kept holds the state of a search between its pages.
    has_state: bool,
}

impl Rules<'_> {
    /// Parts the parameters of a search; `refused` says what a refusal means.
    fn sift(
        &self,
        parameters: Vec<Parameter>,
        mut refused: impl FnMut(GuardError) -> Result<(), GuardError>,
    ) -> Result<Sifted, GuardError> {
        let mut sifted = Sifted { kept: Vec::new(), tags: Vec::new(), has_state: false };
        for (name, value) in parameters {
            if name == paging::TAG {
                sifted.tags.push(value);
                continue;
            }
            match self.parameter(&name, &value) {
                Ok(Fate::Pass) => sifted.kept.push((name, value)),
                Ok(Fate::Replace(values)) => {
                    sifted.kept.extend(values.into_iter().map(|value| (name.clone(), value)));
                }
                Ok(Fate::Drop) => {}
                Ok(Fate::State) => {
                    sifted.has_state = true;
                    sifted.kept.push((name, value));
                }
                Err(error) => refused(error)?,
            }
        }
        Ok(sifted)
    }
}
const SEND_A_BATCH: &str = "it can't be taken apart, so send a batch, or each request by itself";

const NO_PARAMETERS: GuardError =
    GuardError::Unsupported { parameter: "query parameters here", instead: "leave them out" };

#[cfg(test)]
mod tests;
