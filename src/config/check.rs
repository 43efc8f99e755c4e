//! Whether what a gateway file says fits together: each mistake at once, with its place.
//!
//! What could be meant in a safe and in an unsafe way is a mistake; what is allowed and worth a second look is a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use jiff::civil::Date;
use serde_saphyr::{Location, Spanned};
use url::Host;

use super::file::Serves;
use super::{Config, Endpoint, at};
use crate::fhir::search::ParameterName;
use crate::fhir::{Definitions, suggest};
use crate::json::lexer::MOST_DEPTH;
use crate::model::Role;
use crate::net::address::CanonicalPath;
use crate::policy::{Finding, Policy, RoleView, explain};
use crate::redact::Plan;

/// The longest name of an endpoint.
const LONGEST_NAME: usize = 64;

/// What was found in a gateway file.
#[derive(Debug, Default)]
pub struct Findings {
    /// With one of these the file is not taken.
    pub mistakes: Vec<Finding>,
    /// Allowed, and worth a second look.
    pub warnings: Vec<Finding>,
}

impl Findings {
    /// Takes other findings in.
    pub fn extend(&mut self, other: Self) {
        self.mistakes.extend(other.mistakes);
        self.warnings.extend(other.warnings);
    }
}

struct Check<'a> {
    config: &'a Config,
    found: Findings,
}

impl Config {
    /// What in the gateway file does not fit together, the policy and other files aside. `today` is for ends that have
    /// passed.
    pub fn check(&self, today: Date) -> Findings {
        let mut check = Check { config: self, found: Findings::default() };
        check.store();
        check.listeners();
        check.endpoints(today);
        check.roles();
        check.limits();
        check.found
    }
}

impl Config {
    /// What in the gateway file does not fit the policy.
    pub fn check_policy(&self, policy: &Policy) -> Findings {
        let mut check = Check { config: self, found: Findings::default() };
        let known_roles: Vec<&str> = policy.roles().map(|(role, _)| role.as_str()).collect();
        let known_documents: Vec<&str> = policy.documents().map(|(name, _)| name).collect();
        for rule in &self.file.roles {
            check.known("role", &known_roles, &rule.value.role, at(rule));
        }
        for endpoint in self.endpoints() {
            let documents: &[(String, Spanned<String>)] = match &endpoint.serves {
                Serves::Fhir => &[],
                Serves::Documents(documents) => documents,
            };
            for (_, document) in documents {
                check.known("document", &known_documents, &document.value, at(document));
            }
            for role in &endpoint.roles {
                check.known("role", &known_roles, &role.value, at(role));
                if let Some(view) = policy.role(&Role::new(&role.value)) {
                    check.view(view, role, documents);
                }
            }
        }
        check.found
    }
}

impl Check<'_> {
    fn known(&mut self, what: &str, known: &[&str], name: &str, at: Location) {
        if !known.contains(&name) {
            let suggestion = match suggest(name, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("it has {}", known.join(", ")),
            };
            self.mistake(at, format!("the policy has no {what} {name}"), Some(&suggestion));
        }
    }

    /// Whether what a role sees at an endpoint can be shown.
    fn view(&mut self, view: &RoleView, role: &Spanned<String>, documents: &[(String, Spanned<String>)]) {
        let mut plans: Vec<&Plan> = Vec::new();
        if documents.is_empty() {
            plans.push(view.plan());
        }
        for (_, document) in documents {
            match view.document(&document.value) {
                Some(plan) => plans.push(plan),
                None => {
                    let message = format!("the role {} sees nothing of {}", role.value, document.value);
                    self.warning(at(role), message, None);
                }
            }
        }
        if self.config.secrets().is_none() && plans.iter().any(|plan| plan.needs_secret()) {
            let message =
                format!("the role {} sees pseudonyms or moved dates, and there is no key for them", role.value);
            self.mistake(at(role), message, Some("secrets: { file: secrets.yaml }"));
        }
    }

    fn mistake(&mut self, at: Location, message: impl Into<Box<str>>, suggestion: Option<&str>) {
        self.found.mistakes.push(self.config.finding(at, message, suggestion));
    }

    fn warning(&mut self, at: Location, message: impl Into<Box<str>>, suggestion: Option<&str>) {
        self.found.warnings.push(self.config.finding(at, message, suggestion));
    }

    fn store(&mut self) {
        if let Some(store) = &self.config.file.store {
            let message = "store is not supported by this version: nothing would be kept there";
            self.mistake(at(store), message, Some("leave it out"));
        }
    }

    fn limits(&mut self) {
        if self.config.limits().depth.get() > MOST_DEPTH {
            self.mistake(Location::UNKNOWN, format!("limits.depth is at most {MOST_DEPTH}"), None);
        }
    }

    fn listeners(&mut self) {
        let config = self.config;
        if config.file.listen.is_empty() {
            let message = "listen names no address, so nobody could call";
            self.mistake(Location::UNKNOWN, message, Some("listen: [{ address: \"0.0.0.0:8443\", tls: { … } }]"));
        }
        let mut taken = BTreeSet::<SocketAddr>::new();
        for listen in config.listeners() {
            let address = listen.address.value;
            if listen.tls.is_none() && !address.ip().is_loopback() {
                let message = format!("{address} would take health data over the network in plain text");
                self.mistake(at(&listen.address), message, Some("add tls, or listen on a loopback address"));
            }
            self.address(&mut taken, &listen.address);
        }
        if let Some(admin) = config.admin() {
            if !admin.address.value.ip().is_loopback() {
                let message = "the admin listener has no authentication and is open to other machines here";
                self.warning(at(&admin.address), message, Some("use 127.0.0.1, or let the network keep others out"));
            }
            self.address(&mut taken, &admin.address);
        }
    }

    fn address(&mut self, taken: &mut BTreeSet<SocketAddr>, address: &Spanned<SocketAddr>) {
        if address.value.port() != 0 && !taken.insert(address.value) {
            self.mistake(at(address), format!("another listener has the address {}", address.value), None);
        }
    }

    fn endpoints(&mut self, today: Date) {
        let config = self.config;
        if config.endpoints().is_empty() {
            self.mistake(Location::UNKNOWN, "endpoints is empty, so the gateway would serve nothing", None);
        }
        let (mut names, mut paths) = (BTreeSet::new(), BTreeMap::<String, &str>::new());
        for endpoint in config.endpoints() {
            let name = endpoint.name.value.as_str();
            if !is_name(name) {
                let message = "the name of an endpoint has 1 to 64 letters, digits, `.`, `_` and `-`";
                self.mistake(at(&endpoint.name), message, None);
            }
            if !names.insert(name) {
                self.mistake(at(&endpoint.name), format!("another endpoint has the name {name}"), None);
            }
            match CanonicalPath::parse(&endpoint.path.value) {
                Ok(path) => {
                    if let Some(other) = paths.insert(path.as_str().to_owned(), name) {
                        self.mistake(at(&endpoint.path), format!("the endpoint {other} has the same path"), None);
                    }
                }
                Err(error) => self.mistake(at(&endpoint.path), format!("this path cannot be used: {error}"), None),
            }
            self.endpoint_roles(endpoint);
            self.serves(endpoint);
            self.addresses(endpoint);
            self.search_parameters(endpoint);
            if let Some(until) = endpoint.until.as_ref().filter(|until| until.value < today) {
                self.warning(at(until), format!("the endpoint {name} is closed: its last day has passed"), None);
            }
        }
    }

    fn endpoint_roles(&mut self, endpoint: &Endpoint) {
        if endpoint.roles.is_empty() {
            let message = format!("the endpoint {} has no role, so nobody could call it", endpoint.name.value);
            self.mistake(at(&endpoint.name), message, Some("roles: [ROLE]"));
        }
        let mut known = BTreeSet::new();
        for role in &endpoint.roles {
            if !known.insert(&role.value) {
                self.mistake(at(role), format!("the role {} stands twice", role.value), None);
            }
        }
    }

    fn serves(&mut self, endpoint: &Endpoint) {
        let Serves::Documents(documents) = &endpoint.serves else { return };
        if documents.is_empty() {
            let message = format!("the endpoint {} serves no document", endpoint.name.value);
            self.mistake(at(&endpoint.name), message, Some("serves: { \"/v1/members/{id}\": member-record }"));
        }
        for (pattern, document) in documents {
            if !pattern.starts_with('/') {
                let message = format!("the path {pattern} does not start with /");
                self.mistake(at(document), message, None);
            }
        }
    }

    /// Whether what an endpoint says of its upstream's own search parameters can be held to a view.
    fn search_parameters(&mut self, endpoint: &Endpoint) {
        let definitions = Definitions::r4();
        for (resource, parameters) in &endpoint.search_parameters.0 {
            let Some(of) = definitions.resource(&resource.value) else {
                let known = definitions.resource_types().map(|(_, known)| known.name);
                let near = suggest(&resource.value, known).map(|near| format!("did you mean {near}?"));
                let message = format!("FHIR R4 has no resource type {}", resource.value);
                self.mistake(at(resource), message, near.as_deref());
                continue;
            };
            for (code, elements) in &parameters.0 {
                let (name, of_name) = (&code.value, &resource.value);
                if !is_search_code(name) {
                    let message = format!("a search parameter can't be named {name}");
                    self.mistake(at(code), message, Some("its name is letters, digits, `-` and `_`"));
                } else if definitions.search_parameter(of_name, name).is_some() {
                    let message = format!("FHIR R4 says itself what {name} of {of_name} tests");
                    self.mistake(at(code), message, Some("leave it out"));
                }
                if elements.is_empty() {
                    let message = format!("{name} of {of_name} tests no element, so nothing can be said of it");
                    self.mistake(at(code), message, Some("name each element that it tests"));
                }
                for element in elements {
                    if definitions.element_at(of, &element.value).is_none() {
                        let message = format!("unknown element {of_name}.{}", element.value);
                        let near = explain::meant(&definitions, of, &element.value);
                        self.mistake(at(element), message, near.as_deref());
                    }
                }
            }
        }
    }

    fn addresses(&mut self, endpoint: &Endpoint) {
        let url = &endpoint.upstream.url;
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.scheme() == "http" && !loopback {
            let message = format!("the endpoint {} asks its upstream in plain text", endpoint.name.value);
            self.warning(at(&endpoint.name), message, Some("use https between the gateway and the API"));
        }
        let Some(public) = &endpoint.public_url else { return };
        let url = &public.value;
        if !crate::net::upstream::is_base(url) {
            let message = "public_url is http or https with a host and a path, without user, query and fragment";
            self.mistake(at(public), message, None);
        }
    }

    /// Roles that are given and used nowhere, and the other way round.
    fn roles(&mut self) {
        let config = self.config;
        let given: BTreeSet<&str> = config.file.roles.iter().map(|rule| rule.value.role.as_str()).collect();
        let used: BTreeSet<&str> =
            config.endpoints().iter().flat_map(|endpoint| &endpoint.roles).map(|role| role.value.as_str()).collect();
        for role in config.endpoints().iter().flat_map(|endpoint| &endpoint.roles) {
            if !given.contains(role.value.as_str()) {
                let message = format!("no entry of roles gives the role {}, so nobody can act in it", role.value);
                self.warning(at(role), message, None);
            }
        }
        let asks = config.listeners().any(|listen| listen.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()));
        for rule in &config.file.roles {
            if !used.contains(rule.value.role.as_str()) {
                let message = format!("no endpoint is open to the role {}", rule.value.role);
                self.warning(at(rule), message, None);
            }
            if rule.value.when.certificate.is_some() && !asks {
                let message = "this entry asks for a client certificate, and no listener takes one";
                self.mistake(at(rule), message, Some("set tls: { client_ca: FILE } of a listener"));
            }
        }
    }
}

/// Whether a search parameter may have this code: one that a query names without a chain, a modifier or a control.
fn is_search_code(code: &str) -> bool {
    matches!(
        ParameterName::parse(code),
        Ok(ParameterName::Test(test)) if test.chain.is_empty() && test.modifier.is_none() && !code.starts_with('_')
    )
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
