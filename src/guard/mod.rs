//! What a permitted request may still not ask: searches by hidden elements, pages that are somebody else's.
//!
//! It turns a request into the one that goes upstream, written anew from what was read of it, or refuses it by name. It
//! must never let through a parameter that it does not know the reach of. Pure: no I/O, no clock.

mod bounded;
pub mod paging;
mod query;
mod search;

pub use self::paging::PageKey;
pub use self::query::QueryError;

use self::paging::Bound;
use self::query::Parameter;
use self::search::{Fate, Rules};
use crate::fhir::search::{ParameterName, SearchError};
use crate::fhir::{Definitions, Interaction, interaction::Kind};
use crate::net::address::CanonicalPath;
use crate::policy::RoleView;

/// Guards the requests of one caller, in one role, at one endpoint.
pub struct Guard<'a> {
    /// What the role sees.
    pub view: &'a RoleView,
    /// The definitions of FHIR.
    pub definitions: &'a Definitions,
    /// The key of page links.
    pub page_key: &'a PageKey,
    /// What page links are bound to.
    pub bound: Bound<'a>,
    /// Names of page parameters, besides those that are known of common servers.
    pub page_parameters: &'a [Box<str>],
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
    /// A modifier of which it is not sure what it tests.
    #[error("{parameter} has a modifier that this role may not use; it may use :exact, :contains, :missing and :not")]
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
    /// A page link that was changed, or was given to another caller, in another role or under an earlier policy.
    #[error("this page link is not of this caller, role and policy, or was changed: search again from the first page")]
    PageLink,
    /// The interaction is not let through.
    #[error("{interaction} is not let through by this gateway yet")]
    Interaction {
        /// The code of the interaction.
        interaction: &'static str,
    },
}

impl Guard<'_> {
    /// The request that goes upstream.
    ///
    /// # Errors
    /// What the request asks for and may not.
    pub fn admit(&self, asked: Asked<'_>) -> Result<Admission, GuardError> {
        let mut parameters = query::read(asked.query.unwrap_or_default().as_bytes())?;
        let in_query = parameters.len();
        parameters.extend(query::read(asked.form.unwrap_or_default())?);
        let admitted = match asked.interaction {
            None => Self::document(parameters)?,
            Some(Interaction { kind: Kind::SearchType, resource_type: Some(of), compartment: None, .. }) => {
                let in_form = parameters.len() > in_query;
                self.search(of, asked.path, parameters, in_form)?
            }
            Some(Interaction { kind: Kind::Read | Kind::Vread | Kind::Capabilities, .. }) => Self::one(parameters)?,
            Some(other) => return Err(GuardError::Interaction { interaction: other.kind.as_str() }),
        };
        let text = query::write(&admitted);
        let path = asked.path.clone();
        Ok(match asked.form {
            // Where a caller has kept its parameters out of the upstream's logs they stay so.
            Some(_) => Admission { path, query: None, form: Some(text.unwrap_or_default()) },
            None => Admission { path, query: text, form: None },
        })
    }

    /// The address that a caller may have of one that the upstream wrote, a path and a query below both bases. `searched`:
    /// the type that the request has searched, where it was a search.
    pub fn link(&self, path: &CanonicalPath, query: Option<&str>, searched: Option<&str>) -> Option<String> {
        let segments: Vec<&str> = path.segments().iter().map(String::as_str).collect();
        let Some(query) = query else { return self.resource_link(&segments) };
        let (resource, path) = match segments.as_slice() {
            [] => (searched?, CanonicalPath::parse("/").ok()?),
            [resource] | [resource, "_search"] => (*resource, CanonicalPath::parse(&format!("/{resource}")).ok()?),
            _ => return None,
        };
        if !self.view.sees(self.definitions.resource(resource)?) {
            return None;
        }
        let rules = self.rules(resource);
        let (mut kept, mut has_state, mut lost) = (Vec::new(), false, false);
        for (name, value) in query::read(query.as_bytes()).ok()? {
            match rules.parameter(&name, &value) {
                Ok(Fate::Pass) => kept.push((name, value)),
                Ok(Fate::Replace(value)) => kept.push((name, value)),
                Ok(Fate::Drop) => {}
                Ok(Fate::State) => {
                    has_state = true;
                    kept.push((name, value));
                }
                Err(_) => lost = true,
            }
        }
        if has_state {
            // INVARIANT: a tag is put on links of this very search alone, and on none that asks for what it may not.
            if lost || searched != Some(resource) {
                return None;
            }
            let tag = paging::tag(self.page_key, self.bound, resource, path.as_str(), &kept)?;
            kept.push((paging::TAG.to_owned(), tag));
        } else if segments.is_empty() {
            return None;
        }
        let query = query::write(&kept).map(|query| format!("?{query}")).unwrap_or_default();
        Some(format!("{}{query}", path.as_str().trim_end_matches('/')))
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
        let valid = ids.clone().all(|id| crate::fhir::interaction::is_id(id));
        (shown && valid).then(|| segments.iter().map(|segment| format!("/{segment}")).collect())
    }

    fn rules<'b>(&'b self, resource: &'b str) -> Rules<'b> {
        Rules {
            view: self.view,
            definitions: self.definitions,
            resource,
            page_parameters: self.page_parameters,
            most_count: self.most_count,
        }
    }

    fn search(
        &self,
        resource: &str,
        path: &CanonicalPath,
        parameters: Vec<Parameter>,
        in_form: bool,
    ) -> Result<Vec<Parameter>, GuardError> {
        let rules = self.rules(resource);
        let (mut admitted, mut tags, mut has_state) = (Vec::new(), Vec::new(), path.segments().is_empty());
        for (name, value) in parameters {
            if name == paging::TAG {
                tags.push(value);
                continue;
            }
            match rules.parameter(&name, &value)? {
                Fate::Pass => admitted.push((name, value)),
                Fate::Replace(value) => admitted.push((name, value)),
                Fate::Drop => {}
                Fate::State => {
                    has_state = true;
                    admitted.push((name, value));
                }
            }
        }
        let bears = |tag: &String| paging::bears(self.page_key, self.bound, resource, path.as_str(), &admitted, tag);
        match tags.as_slice() {
            [] if !has_state => {
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

    /// A document's API has parameters of its own, whose reach nobody has told the gateway.
    fn document(parameters: Vec<Parameter>) -> Result<Vec<Parameter>, GuardError> {
        if parameters.is_empty() { Ok(parameters) } else { Err(NO_PARAMETERS) }
    }
}

const NO_PARAMETERS: GuardError =
    GuardError::Unsupported { parameter: "query parameters here", instead: "leave them out" };

#[cfg(test)]
mod tests;
