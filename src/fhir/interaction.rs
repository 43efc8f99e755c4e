//! Which FHIR interaction a request asks for, from its request line (R4 http.html#summary).
//!
//! It never guesses: what the standard doesn't list, or lists in another spelling, is an error. It reads the path as it
//! is; percent-decoding and the one canonical form of a path are for the caller to see to beforehand.

use http::Method;

use super::Definitions;

/// A FHIR RESTful interaction with what the path says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction {
    /// Which interaction.
    pub kind: Kind,
    /// The resource type that it is about; `None` for the whole system. Always one that the definitions have.
    pub resource_type: Option<Box<str>>,
    /// The resource's id.
    pub id: Option<Box<str>>,
    /// The version's id; set for [`Kind::Vread`] alone.
    pub version: Option<Box<str>>,
    /// The operation's name without its `$`; set for [`Kind::Operation`] alone.
    pub operation: Option<Box<str>>,
    /// The compartment that a search stays in (`GET Patient/1/Observation`).
    pub compartment: Option<Compartment>,
    /// Whether search criteria in the query stand for the id (`PUT Patient?identifier=…`): the answer's status tells
    /// whether anything matches. A conditional create is told by its `If-None-Exist` header, which isn't seen here.
    pub conditional: bool,
}

/// The resource whose compartment a search stays in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compartment {
    /// `Patient`, `Encounter`, `RelatedPerson`, `Practitioner` or `Device`.
    pub resource_type: Box<str>,
    /// The resource's id.
    pub id: Box<str>,
}

/// The kinds of interactions, by the codes of the code system `restful-interaction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The current state of a resource.
    Read,
    /// One version of a resource.
    Vread,
    /// The history of a resource.
    HistoryInstance,
    /// The history of all resources of a type.
    HistoryType,
    /// The history of all resources.
    HistorySystem,
    /// A search of one type, in a compartment or not.
    SearchType,
    /// A search of several types or all, in a compartment (`GET Patient/1/*`) or not.
    SearchSystem,
    /// The server's CapabilityStatement.
    Capabilities,
    /// A new resource.
    Create,
    /// The whole of a resource replaced.
    Update,
    /// A part of a resource changed.
    Patch,
    /// A resource removed.
    Delete,
    /// A Bundle of independent requests. What the request line tells of a transaction, too; the Bundle's `type` decides.
    Batch,
    /// A Bundle of requests that succeed together. Never told by the request line: see [`Kind::Batch`].
    Transaction,
    /// An operation, named in [`Interaction::operation`].
    Operation,
}

/// Why a request line is no FHIR interaction. Holds nothing of what the caller sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InteractionError {
    /// The path has a shape that no interaction has.
    #[error("the path is no FHIR interaction; see https://hl7.org/fhir/R4/http.html#summary")]
    UnknownPath,
    /// The path names no resource type of FHIR R4.
    #[error("segment {segment} of the path is no resource type of FHIR R4; names are case-sensitive")]
    UnknownType {
        /// The segment, from 1.
        segment: usize,
    },
    /// An id is of a form that FHIR doesn't allow.
    #[error("segment {segment} of the path is no id: 1 to 64 letters, digits, - and .")]
    InvalidId {
        /// The segment, from 1.
        segment: usize,
    },
    /// The path is an interaction's, the method isn't.
    #[error("the path has no interaction by this method; use one of {allowed}")]
    MethodNotAllowed {
        /// The methods that it has, as for the header `Allow`.
        allowed: &'static str,
    },
    /// An interaction without an id lacks the search criteria that would stand for it.
    #[error("the request names neither an id nor search criteria; add one to the path")]
    MissingCriteria,
}

/// The types whose compartments the standard defines (R4 compartmentdefinition.html).
const COMPARTMENTS: [&str; 5] = ["Patient", "Encounter", "RelatedPerson", "Practitioner", "Device"];

impl Interaction {
    /// The interaction of a method, the path below the endpoint (with or without its leading `/`), and the query
    /// (without `?`). The path is taken as decoded and canonical. HEAD counts as the GET.
    ///
    /// # Errors
    /// Where the standard has no such interaction.
    pub fn parse(
        definitions: &Definitions,
        method: &Method,
        path: &str,
        query: Option<&str>,
    ) -> Result<Self, InteractionError> {
        // HEAD is a GET whose body isn't sent (RFC 9110, section 9.3.2).
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let path = path.strip_prefix('/').unwrap_or(path);
        let segments: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
        match segments.as_slice() {
            [] => Ok(Self::of(match method {
                "GET" => Kind::SearchSystem,
                "POST" => Kind::Batch,
                _ => return Err(InteractionError::MethodNotAllowed { allowed: "GET, HEAD, POST" }),
            })),
            ["metadata"] => get(method, Self::of(Kind::Capabilities)),
            ["_history"] => get(method, Self::of(Kind::HistorySystem)),
            ["_search"] => post(method, Self::of(Kind::SearchSystem)),
            [name] if name.starts_with('$') => operation(method, name, Self::of(Kind::Operation)),
            [name, below @ ..] => {
                let resource_type = resource_type(definitions, name, 1)?;
                let of_type = |kind| Self { resource_type: Some(resource_type.into()), ..Self::of(kind) };
                match below {
                    [] => Self::on_type(method, query, of_type),
                    ["_history"] => get(method, of_type(Kind::HistoryType)),
                    ["_search"] => post(method, of_type(Kind::SearchType)),
                    [name] if name.starts_with('$') => operation(method, name, of_type(Kind::Operation)),
                    [id, below @ ..] => {
                        let id = id_of(id, 2)?;
                        let instance = |kind| Self { id: Some(id.into()), ..of_type(kind) };
                        match below {
                            [] => Self::on_instance(method, instance),
                            ["_history"] => get(method, instance(Kind::HistoryInstance)),
                            [name] if name.starts_with('$') => operation(method, name, instance(Kind::Operation)),
                            ["_history", version] => {
                                let version = Some(id_of(version, 4)?.into());
                                get(method, Self { version, ..instance(Kind::Vread) })
                            }
                            [member] if COMPARTMENTS.contains(&resource_type) => {
                                let compartment =
                                    Some(Compartment { resource_type: resource_type.into(), id: id.into() });
                                if *member == "*" {
                                    return get(method, Self { compartment, ..Self::of(Kind::SearchSystem) });
                                }
                                let member = Some(self::resource_type(definitions, member, 3)?.into());
                                let search = Self::of(Kind::SearchType);
                                get(method, Self { resource_type: member, compartment, ..search })
                            }
                            _ => Err(InteractionError::UnknownPath),
                        }
                    }
                }
            }
        }
    }

    /// The path of a GET that asks for the same, below the endpoint: what a POST `_search` and the page of a search at the
    /// server's root ask for, too.
    pub fn path(&self) -> String {
        let compartment = self.compartment.as_ref().map(|within| [&*within.resource_type, &*within.id]);
        let member = match (&self.compartment, &self.resource_type) {
            (Some(_), None) => Some("*"),
            (_, of) => of.as_deref(),
        };
        let mut path = String::new();
        for segment in compartment.into_iter().flatten().chain(member).chain(self.id.as_deref()) {
            path = path + "/" + segment;
        }
        match (self.kind, &self.operation, &self.version) {
            (_, Some(operation), _) => path + "/$" + operation,
            (Kind::Vread, _, Some(version)) => path + "/_history/" + version,
            (Kind::HistoryInstance | Kind::HistoryType | Kind::HistorySystem, ..) => path + "/_history",
            (Kind::Capabilities, ..) => path + "/metadata",
            _ if path.is_empty() => "/".to_owned(),
            _ => path,
        }
    }

    fn on_type(method: &str, query: Option<&str>, of_type: impl Fn(Kind) -> Self) -> Result<Self, InteractionError> {
        let kind = match method {
            "GET" => return Ok(of_type(Kind::SearchType)),
            "POST" => return Ok(of_type(Kind::Create)),
            "PUT" => Kind::Update,
            "PATCH" => Kind::Patch,
            "DELETE" => Kind::Delete,
            _ => return Err(InteractionError::MethodNotAllowed { allowed: "GET, HEAD, POST, PUT, PATCH, DELETE" }),
        };
        // INVARIANT: no change to a type without criteria; a server may take it as one to everything.
        if query.is_none_or(str::is_empty) {
            return Err(InteractionError::MissingCriteria);
        }
        Ok(Self { conditional: true, ..of_type(kind) })
    }

    fn on_instance(method: &str, instance: impl Fn(Kind) -> Self) -> Result<Self, InteractionError> {
        match method {
            "GET" => Ok(instance(Kind::Read)),
            "PUT" => Ok(instance(Kind::Update)),
            "PATCH" => Ok(instance(Kind::Patch)),
            "DELETE" => Ok(instance(Kind::Delete)),
            _ => Err(InteractionError::MethodNotAllowed { allowed: "GET, HEAD, PUT, PATCH, DELETE" }),
        }
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            resource_type: None,
            id: None,
            version: None,
            operation: None,
            compartment: None,
            conditional: false,
        }
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Read,
        Self::Vread,
        Self::HistoryInstance,
        Self::HistoryType,
        Self::HistorySystem,
        Self::SearchType,
        Self::SearchSystem,
        Self::Capabilities,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::Batch,
        Self::Transaction,
        Self::Operation,
    ];

    /// The code of the code system `restful-interaction`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Vread => "vread",
            Self::HistoryInstance => "history-instance",
            Self::HistoryType => "history-type",
            Self::HistorySystem => "history-system",
            Self::SearchType => "search-type",
            Self::SearchSystem => "search-system",
            Self::Capabilities => "capabilities",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Batch => "batch",
            Self::Transaction => "transaction",
            Self::Operation => "operation",
        }
    }

    /// The kind with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == code)
    }
}

/// Whether this is an id as FHIR allows it (R4 datatypes.html#id). `.` and `..` are none here: a server may take them
/// for steps of a path.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && !matches!(text, "." | "..")
}

fn get(method: &str, found: Interaction) -> Result<Interaction, InteractionError> {
    if method == "GET" { Ok(found) } else { Err(InteractionError::MethodNotAllowed { allowed: "GET, HEAD" }) }
}

fn post(method: &str, found: Interaction) -> Result<Interaction, InteractionError> {
    if method == "POST" { Ok(found) } else { Err(InteractionError::MethodNotAllowed { allowed: "POST" }) }
}

/// An operation by its segment, `$` and a name such as `validate-code` or `cdr.purge`.
fn operation(method: &str, segment: &str, found: Interaction) -> Result<Interaction, InteractionError> {
    let name = segment.strip_prefix('$').unwrap_or(segment);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || name.len() > 64 || !name.bytes().all(allowed) {
        return Err(InteractionError::UnknownPath);
    }
    match method {
        "GET" | "POST" => Ok(Interaction { operation: Some(name.into()), ..found }),
        _ => Err(InteractionError::MethodNotAllowed { allowed: "GET, HEAD, POST" }),
    }
}

fn resource_type<'a>(definitions: &Definitions, name: &'a str, segment: usize) -> Result<&'a str, InteractionError> {
    definitions.resource(name).map(|_| name).ok_or(InteractionError::UnknownType { segment })
}

fn id_of(text: &str, segment: usize) -> Result<&str, InteractionError> {
    is_id(text).then_some(text).ok_or(InteractionError::InvalidId { segment })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Interaction, InteractionError> {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Interaction::parse(&Definitions::r4(), &method.parse().unwrap(), path, query)
    }

    /// What an interaction says, in one line.
    fn told(line: &str) -> String {
        let found = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let compartment = found.compartment.map(|within| format!("in {}/{}", within.resource_type, within.id));
        let parts = [found.resource_type, found.id, found.version, found.operation].into_iter().flatten();
        let mut words = vec![found.kind.as_str().to_owned()];
        words.extend(parts.map(String::from).chain(compartment));
        words.extend(found.conditional.then(|| "conditional".to_owned()));
        words.join(" ")
    }

    #[test]
    fn each_interaction_of_the_standard_is_told_by_its_request_line() {
        for (line, expected) in [
            ("GET /Patient/1", "read Patient 1"),
            ("HEAD /Patient/1", "read Patient 1"),
            ("GET Patient/1", "read Patient 1"),
            ("GET /Patient/1/_history/2", "vread Patient 1 2"),
            ("GET /Patient/1/_history", "history-instance Patient 1"),
            ("GET /Patient/_history", "history-type Patient"),
            ("GET /_history", "history-system"),
            ("GET /Patient", "search-type Patient"),
            ("GET /Patient?name=x", "search-type Patient"),
            ("POST /Patient/_search", "search-type Patient"),
            ("GET /?_type=Patient", "search-system"),
            ("GET ?_getpages=x", "search-system"),
            ("POST /_search", "search-system"),
            ("GET /metadata", "capabilities"),
            ("POST /Patient", "create Patient"),
            ("PUT /Patient/1", "update Patient 1"),
            ("PUT /Patient?identifier=x", "update Patient conditional"),
            ("PATCH /Patient/1", "patch Patient 1"),
            ("PATCH /Patient?identifier=x", "patch Patient conditional"),
            ("DELETE /Patient/1", "delete Patient 1"),
            ("DELETE /Patient?identifier=x", "delete Patient conditional"),
            ("POST /", "batch"),
            ("POST /$process-message", "operation process-message"),
            ("GET /ValueSet/$expand?url=x", "operation ValueSet expand"),
            ("POST /Patient/1/$everything", "operation Patient 1 everything"),
            ("GET /Patient/1/Observation?code=x", "search-type Observation in Patient/1"),
            ("GET /Encounter/a-b.c/Procedure", "search-type Procedure in Encounter/a-b.c"),
            ("GET /Patient/1/*", "search-system in Patient/1"),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_read_is_asked_for_by_its_path_again() {
        for line in [
            "GET /Patient/1",
            "GET /Patient/1/_history/2",
            "GET /Patient/1/_history",
            "GET /Patient/_history",
            "GET /_history",
            "GET /Patient?name=x",
            "POST /Patient/_search",
            "POST /_search",
            "GET /metadata",
            "GET /$export",
            "GET /Group/1/$export",
            "GET /Patient/1/$everything",
            "GET /Patient/1/Observation",
            "GET /Patient/1/*",
        ] {
            let found = parse(line).unwrap();
            assert_eq!(parse(&format!("GET {}", found.path())), Ok(found), "{line}");
        }
    }

    #[test]
    fn a_path_in_any_other_shape_is_no_interaction() {
        for line in [
            "GET /Patient/1/_history/2/3",
            "GET /Patient/1/_history/2/$meta",
            "GET /Organization/1/Patient",
            "GET /Patient/1/Observation/2",
            "GET /$",
            "GET /$a/b",
            "GET /Patient/$a%20b",
            "GET /Patient/1/$-",
        ] {
            let error = parse(line).unwrap_err();
            let known = [InteractionError::UnknownPath, InteractionError::UnknownType { segment: 1 }];
            assert!(known.contains(&error), "{line}: {error}");
        }
    }

    #[test]
    fn a_name_that_is_no_resource_type_is_refused() {
        for line in
            ["GET /patient", "GET /Resource/1", "GET /HumanName", "GET //Patient", "GET /Patient;x=1/1", "GET /.."]
        {
            assert_eq!(parse(line), Err(InteractionError::UnknownType { segment: 1 }), "{line}");
        }
        assert_eq!(parse("GET /Patient/1/Observations"), Err(InteractionError::UnknownType { segment: 3 }));
    }

    #[test]
    fn an_id_in_a_form_that_fhir_does_not_allow_is_refused() {
        let long = "x".repeat(65);
        for id in ["", ".", "..", "a b", "a%2Fb", "a_b", "é", "_histor", &long] {
            assert_eq!(parse(&format!("GET /Patient/{id}")), Err(InteractionError::InvalidId { segment: 2 }), "{id}");
            let vread = format!("GET /Patient/1/_history/{id}");
            assert_eq!(parse(&vread), Err(InteractionError::InvalidId { segment: 4 }), "{vread}");
        }
        assert!(parse(&format!("GET /Patient/{}", "x".repeat(64))).is_ok());
    }

    #[test]
    fn a_method_that_the_path_does_not_have_is_refused_with_those_that_it_has() {
        for (line, expected) in [
            ("DELETE /", "GET, HEAD, POST"),
            ("POST /metadata", "GET, HEAD"),
            ("OPTIONS /Patient", "GET, HEAD, POST, PUT, PATCH, DELETE"),
            ("POST /Patient/1", "GET, HEAD, PUT, PATCH, DELETE"),
            ("GET /Patient/_search", "POST"),
            ("DELETE /Patient/1/_history", "GET, HEAD"),
            ("DELETE /Patient/1/$meta", "GET, HEAD, POST"),
            ("POST /Patient/1/Observation", "GET, HEAD"),
            ("get /Patient", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ] {
            assert_eq!(parse(line), Err(InteractionError::MethodNotAllowed { allowed: expected }), "{line}");
        }
    }

    #[test]
    fn a_change_without_an_id_needs_criteria() {
        for line in ["PUT /Patient", "PATCH /Patient", "DELETE /Patient", "DELETE /Patient?"] {
            assert_eq!(parse(line), Err(InteractionError::MissingCriteria), "{line}");
        }
    }

    #[test]
    fn a_kind_is_found_by_its_code() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_code(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::from_code("search"), None);
    }
}
