//! Reads the name of a query parameter: what it tests and by which way, or which part of the answer it shapes
//! (R4 search.html).
//!
//! It knows the grammar alone. Whether a code, a type or a way exists is for whoever has the definitions; a name that
//! it can't read is an error and never a parameter without a meaning.

/// The name of a query parameter, percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterName {
    /// Shapes the answer and tests nothing by itself; its value may name elements and parameters.
    Control(Control),
    /// Tests an element: `birthdate`, `name:exact`, `subject:Patient.name`, `_has:Observation:patient:code`. Whatever
    /// is no control is one, `_text`, `_filter` and `_list` too.
    Test(Test),
}

/// The parameters that shape the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Control {
    /// `_sort`: its value names search parameters; the order tells of what they test.
    Sort,
    /// `_count`
    Count,
    /// `_include`: brings in what the matches refer to.
    Include {
        /// `_include:iterate`: and what that refers to.
        iterate: bool,
    },
    /// `_revinclude`: brings in what refers to the matches.
    RevInclude {
        /// `_revinclude:iterate`: and what refers to that.
        iterate: bool,
    },
    /// `_summary`
    Summary,
    /// `_total`
    Total,
    /// `_elements`
    Elements,
    /// `_contained`
    Contained,
    /// `_containedType`
    ContainedType,
    /// `_format`
    Format,
    /// `_pretty`
    Pretty,
    /// `_type`: the types of a search or a history of all types.
    Type,
    /// `_since`, of a history
    Since,
    /// `_at`, of a history
    At,
}

/// What a parameter tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// The references that lead from the type that is searched to the one that is tested, in order. Empty for most.
    pub chain: Vec<Link>,
    /// The search parameter at the end of the chain.
    pub code: Box<str>,
    /// How it tests.
    pub modifier: Option<Modifier>,
}

/// A step of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// `subject:Patient.`: on to what a reference parameter points to.
    Forward {
        /// The reference parameter.
        code: Box<str>,
        /// The type pointed to; without it every target of the parameter.
        target: Option<Box<str>>,
    },
    /// `_has:Observation:patient:`: back to the resources of a type that point here.
    Reverse {
        /// The type that points here.
        resource_type: Box<str>,
        /// The reference parameter of that type.
        code: Box<str>,
    },
}

/// The modifiers of search parameters (R4 search.html#modifiers).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Modifier {
    /// `:missing`
    Missing,
    /// `:exact`
    Exact,
    /// `:contains`
    Contains,
    /// `:text`: tests displays and texts beside the codes.
    Text,
    /// `:not`
    Not,
    /// `:above`
    Above,
    /// `:below`
    Below,
    /// `:in`
    In,
    /// `:not-in`
    NotIn,
    /// `:ofType`
    OfType,
    /// `:identifier`: tests the reference's identifier.
    Identifier,
    /// `:Patient`: the type that the reference points to.
    Type(Box<str>),
}

/// Why the name of a parameter can't be read. Holds nothing of what the caller sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// A code or type that isn't of the form that FHIR gives them.
    #[error("a search parameter's name is letters, digits, - and _; a resource type's is letters")]
    Name,
    /// A modifier that FHIR R4 doesn't have, or that the parameter can't have.
    #[error("an unknown search modifier; see https://hl7.org/fhir/R4/search.html#modifiers")]
    Modifier,
    /// A `_has` that isn't `_has:TYPE:REFERENCE:PARAMETER`.
    #[error("a reverse chain is written _has:TYPE:REFERENCE:PARAMETER")]
    Has,
    /// A chain that is longer than anyone needs.
    #[error("a chain of search parameters has at most {LONGEST_CHAIN} references; search in steps")]
    TooLong,
}

/// More references than this in one chain are refused; each costs the upstream a join.
const LONGEST_CHAIN: usize = 8;

impl ParameterName {
    /// Reads the name of a query parameter, percent-decoded.
    ///
    /// # Errors
    /// Where the name isn't in the grammar of the standard.
    pub fn parse(name: &str) -> Result<Self, SearchError> {
        let (head, modifier) = split(name, ':');
        let Some(control) = control(head) else { return test(name).map(Self::Test) };
        match (control, modifier) {
            (_, None) => Ok(Self::Control(control)),
            (Control::Include { .. }, Some("iterate")) => Ok(Self::Control(Control::Include { iterate: true })),
            (Control::RevInclude { .. }, Some("iterate")) => Ok(Self::Control(Control::RevInclude { iterate: true })),
            _ => Err(SearchError::Modifier),
        }
    }
}

fn control(name: &str) -> Option<Control> {
    Some(match name {
        "_sort" => Control::Sort,
        "_count" => Control::Count,
        "_include" => Control::Include { iterate: false },
        "_revinclude" => Control::RevInclude { iterate: false },
        "_summary" => Control::Summary,
        "_total" => Control::Total,
        "_elements" => Control::Elements,
        "_contained" => Control::Contained,
        "_containedType" => Control::ContainedType,
        "_format" => Control::Format,
        "_pretty" => Control::Pretty,
        "_type" => Control::Type,
        "_since" => Control::Since,
        "_at" => Control::At,
        _ => return None,
    })
}

fn test(name: &str) -> Result<Test, SearchError> {
    let (mut chain, mut rest) = (Vec::new(), name);
    loop {
        if chain.len() > LONGEST_CHAIN {
            return Err(SearchError::TooLong);
        }
        if let Some(reverse) = rest.strip_prefix("_has") {
            let mut parts = reverse.splitn(4, ':');
            let (Some(""), Some(of), Some(by), Some(then)) = (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(SearchError::Has);
            };
            chain.push(Link::Reverse { resource_type: type_name(of)?, code: code(by)? });
            rest = then;
            continue;
        }
        let (step, then) = split(rest, '.');
        let (name, modifier) = split(step, ':');
        let code = code(name)?;
        // A control shapes an answer; at the end of a chain it would mean nothing, and _sort there be anyone's guess.
        if control(name).is_some() {
            return Err(SearchError::Name);
        }
        match then {
            None => return Ok(Test { chain, code, modifier: modifier.map(self::modifier).transpose()? }),
            Some(then) => {
                chain.push(Link::Forward { code, target: modifier.map(type_name).transpose()? });
                rest = then;
            }
        }
    }
}

fn modifier(name: &str) -> Result<Modifier, SearchError> {
    Ok(match name {
        "missing" => Modifier::Missing,
        "exact" => Modifier::Exact,
        "contains" => Modifier::Contains,
        "text" => Modifier::Text,
        "not" => Modifier::Not,
        "above" => Modifier::Above,
        "below" => Modifier::Below,
        "in" => Modifier::In,
        "not-in" => Modifier::NotIn,
        "ofType" | "of-type" => Modifier::OfType,
        "identifier" => Modifier::Identifier,
        _ => Modifier::Type(type_name(name).map_err(|_| SearchError::Modifier)?),
    })
}

fn code(text: &str) -> Result<Box<str>, SearchError> {
    let rest = text.strip_prefix('_').unwrap_or(text);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let named = rest.starts_with(|first: char| first.is_ascii_alphabetic()) && rest.bytes().all(allowed);
    if named { Ok(text.into()) } else { Err(SearchError::Name) }
}

fn type_name(text: &str) -> Result<Box<str>, SearchError> {
    let named =
        text.starts_with(|first: char| first.is_ascii_uppercase()) && text.bytes().all(|b| b.is_ascii_alphabetic());
    if named { Ok(text.into()) } else { Err(SearchError::Name) }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(head, rest)| (head, Some(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Test {
        match ParameterName::parse(name) {
            Ok(ParameterName::Test(test)) => test,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn forward(code: &str, target: Option<&str>) -> Link {
        Link::Forward { code: code.into(), target: target.map(Box::from) }
    }

    fn reverse(resource_type: &str, code: &str) -> Link {
        Link::Reverse { resource_type: resource_type.into(), code: code.into() }
    }

    #[test]
    fn a_plain_name_tests_the_parameter_of_that_code() {
        for name in ["birthdate", "_id", "_lastUpdated", "code-value-quantity", "_text", "_filter", "_list"] {
            assert_eq!(read(name), Test { chain: Vec::new(), code: name.into(), modifier: None });
        }
    }

    #[test]
    fn a_modifier_is_told_from_the_type_of_a_reference() {
        for (name, expected) in [
            ("name:exact", Modifier::Exact),
            ("birthdate:missing", Modifier::Missing),
            ("code:not-in", Modifier::NotIn),
            ("identifier:ofType", Modifier::OfType),
            ("subject:identifier", Modifier::Identifier),
            ("subject:Patient", Modifier::Type("Patient".into())),
        ] {
            assert_eq!(read(name).modifier, Some(expected), "{name}");
        }
    }

    #[test]
    fn a_chain_is_read_link_by_link() {
        let test = read("subject:Patient.organization.name:contains");
        assert_eq!(test.chain, [forward("subject", Some("Patient")), forward("organization", None)]);
        assert_eq!((&*test.code, test.modifier), ("name", Some(Modifier::Contains)));
    }

    #[test]
    fn a_reverse_chain_is_read_link_by_link() {
        let test = read("_has:Observation:patient:_has:AuditEvent:entity:agent:Practitioner.name:exact");
        assert_eq!(
            test.chain,
            [
                reverse("Observation", "patient"),
                reverse("AuditEvent", "entity"),
                forward("agent", Some("Practitioner"))
            ]
        );
        assert_eq!((&*test.code, test.modifier), ("name", Some(Modifier::Exact)));
        let test = read("patient._has:Group:member:_id");
        assert_eq!(test.chain, [forward("patient", None), reverse("Group", "member")]);
        assert_eq!(&*test.code, "_id");
    }

    #[test]
    fn a_control_is_told_from_a_test() {
        for (name, expected) in [
            ("_sort", Control::Sort),
            ("_include", Control::Include { iterate: false }),
            ("_include:iterate", Control::Include { iterate: true }),
            ("_revinclude:iterate", Control::RevInclude { iterate: true }),
            ("_elements", Control::Elements),
        ] {
            assert_eq!(ParameterName::parse(name), Ok(ParameterName::Control(expected)), "{name}");
        }
    }

    #[test]
    fn a_name_outside_the_grammar_is_an_error() {
        for (name, expected) in [
            ("", SearchError::Name),
            ("_", SearchError::Name),
            ("na me", SearchError::Name),
            ("name.", SearchError::Name),
            (".name", SearchError::Name),
            ("subject:patient.name", SearchError::Name),
            ("subject._sort", SearchError::Name),
            ("name:", SearchError::Modifier),
            ("name:exactly", SearchError::Modifier),
            ("name:exact:not", SearchError::Modifier),
            ("_sort:asc", SearchError::Modifier),
            ("_include:recurse", SearchError::Modifier),
            ("_has", SearchError::Has),
            ("_has:Observation:patient", SearchError::Has),
            ("_hasty", SearchError::Has),
            ("_has:Observation:patient:", SearchError::Name),
        ] {
            assert_eq!(ParameterName::parse(name), Err(expected), "{name}");
        }
        let long = "subject.".repeat(9) + "name";
        assert_eq!(ParameterName::parse(&long), Err(SearchError::TooLong));
    }
}
