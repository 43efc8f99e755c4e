//! Requests that reach less far than their role, by the scopes of a token or to the caller's own patient; and those that
//! are narrowed on their way.
//!
//! What an answer may hold is bounded in the answer itself. What a search may ask is bounded here: it must not tell of
//! resources that its answers would never hold, so nothing is asked by way of other resources than those searched, and
//! what narrows the search is put into the request that goes upstream. Callers see nothing of that in their links.

use url::form_urlencoded;

use super::query;
use super::{Admission, Asked, Guard, GuardError};
use crate::fhir::search::{Control, Link, ParameterName};
use crate::net::address::CanonicalPath;
use crate::policy::Reach;

/// Parameters that look into other elements or resources than their name says.
const ANYWHERE: [&str; 5] = ["_content", "_filter", "_list", "_query", "_text"];

impl Guard<'_> {
    /// As [`Guard::admit`], for a request that reaches as far as this says, or as far as its role where it says nothing; with
    /// the parameters that narrow it on its way.
    ///
    /// # Errors
    /// What the request asks for and may not.
    pub fn admit_within(
        &self,
        reach: Option<&Reach>,
        narrowing: &[(Box<str>, Box<str>)],
        asked: Asked<'_>,
    ) -> Result<Admission, GuardError> {
        if reach.is_some() {
            Self::stays_within(asked)?;
        }
        let mut admission = self.admit(asked)?;
        if !narrowing.is_empty() {
            let text = match &mut admission.form {
                Some(form) => form,
                None => admission.query.get_or_insert_default(),
            };
            *text = narrowed(std::mem::take(text), narrowing);
        }
        Ok(admission)
    }

    /// Whether a request asks of what is searched alone.
    fn stays_within(asked: Asked<'_>) -> Result<(), GuardError> {
        for text in [asked.query.unwrap_or_default().as_bytes(), asked.form.unwrap_or_default()] {
            query::read(text)?.iter().try_for_each(|(name, _)| stays_within(name))?;
        }
        Ok(())
    }

    /// As [`Guard::link`], for the answer to such a request: what was put into it is not in its links.
    pub fn link_within(
        &self,
        narrowing: &[(Box<str>, Box<str>)],
        path: &CanonicalPath,
        query: Option<&str>,
        searched: Option<&str>,
    ) -> Option<String> {
        let Some(query) = query.filter(|_| !narrowing.is_empty()) else { return self.link(path, query, searched) };
        let put_in = |(name, value): &(String, String)| {
            narrowing.iter().any(|(code, wanted)| **code == **name && **wanted == **value)
        };
        let kept: Vec<_> = query::read(query.as_bytes()).ok()?.into_iter().filter(|pair| !put_in(pair)).collect();
        self.link(path, Some(&query::write(&kept).unwrap_or_default()), searched)
    }
}

/// Whether a parameter asks of the searched resources alone.
fn stays_within(name: &str) -> Result<(), GuardError> {
    let instead = "search the other type by itself";
    let test = match ParameterName::parse(name) {
        Ok(ParameterName::Test(test)) => test,
        Ok(ParameterName::Control(Control::Include { .. } | Control::RevInclude { .. })) => {
            return Err(GuardError::Unsupported { parameter: "_include or _revinclude", instead });
        }
        // What can't be read is for the guard itself to refuse.
        Ok(ParameterName::Control(_)) | Err(_) => return Ok(()),
    };
    match test.chain.first() {
        Some(Link::Forward { .. }) => Err(GuardError::Unsupported { parameter: "a chained parameter", instead }),
        Some(Link::Reverse { .. }) => Err(GuardError::Unsupported { parameter: "_has", instead }),
        None if ANYWHERE.contains(&&*test.code) => Err(GuardError::Unfollowed { parameter: test.code }),
        None => Ok(()),
    }
}

/// A query or a form, with what narrows it. What an inclusion brings in may have other elements.
fn narrowed(text: String, narrowing: &[(Box<str>, Box<str>)]) -> String {
    let includes = form_urlencoded::parse(text.as_bytes())
        .any(|(name, _)| matches!(name.split(':').next(), Some("_include" | "_revinclude")));
    let mut serializer = form_urlencoded::Serializer::new(text);
    serializer.extend_pairs(narrowing.iter().filter(|(name, _)| !(includes && &**name == "_elements")));
    serializer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_included_is_not_narrowed_to_the_elements_of_what_is_searched() {
        let narrowing = [("status".into(), "final".into()), ("_elements".into(), "code,id".into())];
        let narrowed = |text: &str| narrowed(text.to_owned(), &narrowing);
        assert_eq!(narrowed("code=x"), "code=x&status=final&_elements=code%2Cid");
        for includes in ["_include=Observation%3Asubject", "_revinclude%3Aiterate=x"] {
            assert_eq!(narrowed(includes), format!("{includes}&status=final"));
        }
    }

    #[test]
    fn l11_nothing_is_asked_by_way_of_other_resources() {
        for own in ["code", "subject", "subject:Patient", "_id", "_sort", "_count", "name:exact"] {
            assert_eq!(stays_within(own), Ok(()), "{own}");
        }
        for other in [
            "subject.name",
            "subject:Patient.birthdate",
            "_has:Observation:patient:code",
            "_text",
            "_list",
            "_include",
            "_revinclude:iterate",
        ] {
            assert!(stays_within(other).is_err(), "{other}");
        }
    }
}
