//! Links onward that the gateway seals: where an answer leads to a place that only the upstream knows the way to.

use sha2::{Digest, Sha256};

use super::sealed::{self, Place, Sealed};
use super::{Admission, Guard, GuardError};
use crate::fhir::Interaction;
use crate::fhir::interaction::Kind;
use crate::net::address::CanonicalPath;

/// What an answer that leads onward is the answer to.
#[derive(Clone, Copy)]
pub struct From<'a> {
    /// What was asked.
    pub interaction: &'a Interaction,
    /// As [`Admission::searched`] says.
    pub searched: Option<&'a str>,
    /// As [`Admission::holds`] says.
    pub holds: Option<&'a [Box<str>]>,
}

impl Guard<'_> {
    /// The path, below the endpoint, of a link to a place: a path and a query below the upstream's URL.
    pub fn lead(&self, place: Place, from: From<'_>, path: &CanonicalPath, query: Option<&str>) -> Option<String> {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let link = Sealed {
            place,
            of: from.interaction.path().into(),
            within: fingerprint(self.bound.within),
            searched: from.searched.map(Box::from),
            holds: from.holds.map(<[_]>::to_vec),
            target: format!("{}{query}", path.as_str()).into(),
            until: self.until(),
        };
        let segment = sealed::seal(self.page_key, self.bound, &link)?;
        Some(format!("/{}/{segment}", sealed::SEGMENT))
    }

    /// The path of a link to another page of an answer, where it is at a place that only the upstream knows the way to. Links
    /// to the pages of a search in a form that is known are [`Guard::link`]'s to make.
    pub fn page(&self, from: From<'_>, path: &CanonicalPath, query: Option<&str>) -> Option<String> {
        let leads_on = match from.interaction.kind {
            Kind::SearchType | Kind::SearchSystem => self.is_opaque(path),
            Kind::HistoryInstance | Kind::HistoryType | Kind::HistorySystem | Kind::Operation => true,
            _ => false,
        };
        leads_on.then(|| self.lead(Place::Page, from, path, query)).flatten()
    }

    /// Whether a path is none that the standard gives a meaning to.
    fn is_opaque(&self, path: &CanonicalPath) -> bool {
        match path.segments().first().map(String::as_str) {
            None | Some("_search" | "_history" | "metadata") => false,
            Some(first) => !first.starts_with('$') && self.definitions.resource(first).is_none(),
        }
    }

    /// What a segment leads to that was sealed for this caller in this role. What it is of is still to be decided.
    ///
    /// # Errors
    /// Where the segment is no such link, or its time is over.
    pub fn opened(&self, segment: &str) -> Result<Sealed, GuardError> {
        sealed::open(self.page_key, self.bound, self.now.as_second(), segment).ok_or(GuardError::PageLink)
    }

    /// The request that goes upstream of a link that was opened, once what it is of has been decided anew.
    ///
    /// # Errors
    /// Where the caller's requests don't reach as far as they did.
    pub fn follow(&self, link: Sealed) -> Result<Admission, GuardError> {
        if link.within != fingerprint(self.bound.within) {
            return Err(GuardError::PageLink);
        }
        let (path, query) =
            link.target.split_once('?').map_or((&*link.target, None), |(path, query)| (path, Some(query)));
        Ok(Admission {
            path: CanonicalPath::parse(path).map_err(|_| GuardError::PageLink)?,
            query: query.map(str::to_owned),
            form: None,
            searched: link.searched.map(String::from),
            holds: link.holds,
            seen_first: None,
            if_none_exist: None,
        })
    }

    /// Until when a link holds that is handed out now, in seconds since 1970.
    pub(super) fn until(&self) -> i64 {
        self.now.as_second().saturating_add(i64::try_from(self.link_lifetime.as_secs()).unwrap_or(i64::MAX))
    }
}

/// Stands for how far a request reaches, which can take long to say.
fn fingerprint(within: &str) -> Box<str> {
    match within {
        "" => "".into(),
        within => Sha256::digest(within).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
    }
}
