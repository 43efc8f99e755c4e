//! What a gateway file names, read and opened: policy, secrets, certificates, keys, upstreams. Nothing is started.
//!
//! Every file is tried, so that all mistakes are told at once. It must never give back half of a configuration.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::Date;
use rustls::{ClientConfig, ServerConfig};
use url::Url;

use super::with_causes;
use crate::access::Scope;
use crate::config::{self, Config, Findings, Listen};
use crate::fhir::Definitions;
use crate::guard::Declared;
use crate::identity::{self, Identity, RoleMap};
use crate::model::Role;
use crate::net::address::CanonicalPath;
use crate::net::upstream::Upstream;
use crate::net::{fetch, tls};
use crate::policy::{Finding, Policy, Position};
use crate::proxy::{self, Endpoint, PathPattern, Serves};
use crate::redact::transform::Secret;

/// How long an issuer's keys may take to come.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long before its end a certificate is warned of.
const EXPIRES_SOON: i64 = 3 * 24 * 3600;

/// A whole configuration, ready to be served.
pub(super) struct Loaded {
    pub(super) policy: Arc<Policy>,
    pub(super) files: Files,
    pub(super) warnings: Vec<Finding>,
}

/// What the files beside the policy hold.
pub(super) struct Files {
    pub(super) secret: Option<Arc<Secret>>,
    /// One for each listener, in order.
    pub(super) tls: Vec<Option<Arc<ServerConfig>>>,
    /// When each certificate and revocation list expires, in seconds since 1970-01-01T00:00:00Z.
    pub(super) expiries: Vec<(String, i64)>,
    pub(super) identity: Arc<Identity>,
    pub(super) roles: RoleMap,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
}

/// Reads the policy and all files that a gateway file names.
pub(super) fn load(
    config: &Config,
    definitions: &Definitions,
    now: Timestamp,
    today: Date,
) -> Result<Loaded, Findings> {
    let mut found = config.check(today);
    let policy = policy(config, definitions, today, &mut found);
    if let Some(policy) = &policy {
        found.extend(config.check_policy(policy));
    }
    let files = files(config, now, &mut found);
    match (policy, files) {
        (Some(policy), Some(files)) if found.mistakes.is_empty() => {
            Ok(Loaded { policy: Arc::new(policy), files, warnings: found.warnings })
        }
        _ => Err(found),
    }
}

fn policy(config: &Config, definitions: &Definitions, today: Date, found: &mut Findings) -> Option<Policy> {
    let path = config.policy();
    let name = path.display().to_string();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            found.mistakes.push(Finding {
                file: name.into(),
                at: Position { line: 1, column: 1 },
                message: format!("the policy cannot be read: {error}").into(),
                suggestion: Some("check that it exists and that the gateway may read it".into()),
            });
            return None;
        }
    };
    match Policy::parse(&name, &text, definitions) {
        Ok((policy, warnings)) => {
            found.warnings.extend(warnings);
            found.warnings.extend(policy.overdue(today));
            Some(policy)
        }
        Err(mistakes) => {
            found.mistakes.extend(mistakes.iter().cloned());
            None
        }
    }
}

/// Opens the files. What comes back is good where no mistake was found.
pub(super) fn files(config: &Config, now: Timestamp, found: &mut Findings) -> Option<Files> {
    let secret = secret(config, found);
    let listeners: Vec<_> = config.listeners().map(|listen| listener(config, listen, now, found)).collect();
    let (identity, roles) = identity(config, found).unzip();
    let endpoints: Vec<_> = config.endpoints().iter().map(|endpoint| open_endpoint(config, endpoint, found)).collect();
    let listeners = listeners.into_iter().collect::<Option<Vec<_>>>()?;
    let (tls, expiries): (Vec<_>, Vec<_>) = listeners.into_iter().unzip();
    Some(Files {
        secret,
        tls,
        expiries: expiries.into_iter().flatten().collect(),
        identity: identity?,
        roles: roles?,
        endpoints: endpoints.into_iter().collect::<Option<_>>()?,
    })
}

/// The key of pseudonyms and date shifts, where one is asked for.
fn secret(config: &Config, found: &mut Findings) -> Option<Arc<Secret>> {
    match config::secrets::read(&config.secrets()?) {
        Ok(secret) => Some(Arc::new(secret)),
        Err(error) => {
            found.mistakes.push(config.anywhere(format!("secrets: {}", with_causes(&error))));
            None
        }
    }
}

type Listener = (Option<Arc<ServerConfig>>, Vec<(String, i64)>);

fn listener(config: &Config, listen: &Listen, now: Timestamp, found: &mut Findings) -> Option<Listener> {
    let Some(settings) = &listen.tls else { return Some((None, Vec::new())) };
    let server = match tls::server_config(settings, config.base()) {
        Ok(server) => server,
        Err(error) => {
            found.mistakes.push(config.at_listener(listen, format!("tls: {}", with_causes(&error))));
            return None;
        }
    };
    let address = listen.address.value;
    let mut expiries = Vec::new();
    let mut dated =
        vec![(format!("listen {address}"), tls::certificate_expiry(&config.base().join(&settings.certificate)))];
    dated
        .extend(settings.crl.as_ref().map(|crl| (format!("crl {address}"), tls::crl_expiry(&config.base().join(crl)))));
    for (name, expiry) in dated {
        match expiry {
            Ok(seconds) => {
                if seconds < now.as_second().saturating_add(EXPIRES_SOON) {
                    let when = Timestamp::from_second(seconds).map_or_else(|_| "now".to_owned(), |at| at.to_string());
                    let message = format!("tls: what {name} shows or checks expires at {when}: renew it");
                    found.warnings.push(config.at_listener(listen, message));
                }
                expiries.push((name, seconds));
            }
            Err(error) => found.mistakes.push(config.at_listener(listen, format!("tls: {}", with_causes(&error)))),
        }
    }
    warn_if_exposed(config, &settings.key, found);
    Some((Some(server), expiries))
}

fn warn_if_exposed(config: &Config, key: &Path, found: &mut Findings) {
    #[cfg(unix)]
    if tls::is_readable_by_others(&config.base().join(key)).unwrap_or(false) {
        let message = format!("others than its owner can read the private key {}: chmod 600", key.display());
        found.warnings.push(config.anywhere(message));
    }
}

fn identity(config: &Config, found: &mut Findings) -> Option<(Arc<Identity>, RoleMap)> {
    let settings = config.identity();
    let client = tls::client_config(None, None, config.base());
    let fetches = settings
        .tokens
        .iter()
        .any(|issuer| matches!(&issuer.keys, identity::token::Keys::Url(url) if url.starts_with("https:")));
    if let (true, Err(error)) = (fetches, &client) {
        found.mistakes.push(config.anywhere(format!("identity: keys cannot be fetched: {}", with_causes(error))));
        return None;
    }
    let identity = match Identity::open(settings, config.base(), Arc::new(Fetch(client.ok()))) {
        Ok(identity) => identity,
        Err(error) => {
            found.mistakes.push(config.anywhere(with_causes(&error)));
            return None;
        }
    };
    match RoleMap::new(&config.roles(), &identity) {
        Ok(roles) => Some((Arc::new(identity), roles)),
        Err(error) => {
            found.mistakes.push(config.at_role_rule(error.index, error.to_string()));
            None
        }
    }
}

/// Fetches issuers' keys over TLS, trusting the system's authorities; over plain text where the system has none.
struct Fetch(Option<ClientConfig>);

impl identity::Fetch for Fetch {
    fn get<'a>(
        &'a self,
        url: &'a Url,
        limit: usize,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Bytes, identity::FetchError>> + Send + 'a>> {
        use identity::FetchError;
        Box::pin(async move {
            let Some(tls) = &self.0 else { return Err(FetchError::Unreachable("no authority is trusted".into())) };
            fetch::fetch(tls, url, limit, FETCH_TIMEOUT).await.map_err(|error| match error {
                fetch::FetchError::Status(status) => FetchError::Status(status.as_u16()),
                fetch::FetchError::TimedOut(_) => FetchError::TooSlow,
                other => FetchError::Unreachable(other.into()),
            })
        })
    }
}

fn open_endpoint(config: &Config, endpoint: &config::Endpoint, found: &mut Findings) -> Option<Arc<Endpoint>> {
    if let Some(key) = &endpoint.upstream.key {
        warn_if_exposed(config, key, found);
    }
    match try_endpoint(config, endpoint) {
        Ok(endpoint) => Some(Arc::new(endpoint)),
        Err(message) => {
            found.mistakes.push(config.at_endpoint(endpoint, message));
            None
        }
    }
}

fn try_endpoint(config: &Config, endpoint: &config::Endpoint) -> Result<Endpoint, String> {
    let serves = match &endpoint.serves {
        config::Serves::Fhir => Serves::Fhir,
        config::Serves::Documents(documents) => {
            let pattern = |(pattern, document): &(String, serde_saphyr::Spanned<String>)| {
                let read = PathPattern::parse(pattern)
                    .map_err(|error| format!("serves: the path {pattern} cannot be used: {}", with_causes(&error)))?;
                Ok::<_, String>((read, document.value.as_str().into()))
            };
            Serves::Documents(documents.iter().map(pattern).collect::<Result<_, _>>()?)
        }
    };
    let until = endpoint.until.as_ref().map(|until| until.value);
    Ok(Endpoint {
        name: endpoint.name.value.as_str().into(),
        path: CanonicalPath::parse(&endpoint.path.value).map_err(|error| with_causes(&error))?,
        upstream: Arc::new(Upstream::open(&endpoint.upstream, config.base()).map_err(|error| with_causes(&error))?),
        serves,
        roles: endpoint.roles.iter().map(|role| Role::new(&role.value)).collect(),
        scope: Scope::new(until, endpoint.from.clone(), endpoint.hours.clone(), endpoint.rate)
            .map_err(|error| with_causes(&error))?,
        public_url: endpoint.public_url.as_ref().map(|url| url.value.clone()),
        page_parameters: endpoint.page_parameters.iter().map(|name| name.as_str().into()).collect(),
        search_parameters: declared(endpoint),
        unseen: endpoint.unseen,
        narrows: endpoint.narrows.clone(),
    })
}

/// The search parameters of an upstream's own. What is a mistake in them stays unknown.
fn declared(endpoint: &config::Endpoint) -> Declared {
    let (definitions, mut declared) = (Definitions::r4(), Declared::default());
    for (resource, parameters) in &endpoint.search_parameters.0 {
        let Some(of) = definitions.resource(&resource.value) else { continue };
        for (code, elements) in &parameters.0 {
            declared.insert(of, &code.value, elements.iter().map(|element| element.value.as_str().into()));
        }
    }
    declared
}

/// The limits as the proxy takes them.
pub(super) fn limits(limits: &config::Limits) -> proxy::Limits {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    proxy::Limits {
        connections: limits.connections.get(),
        handshake_timeout: limits.handshake_timeout.get(),
        header_timeout: limits.header_timeout.get(),
        header_bytes: small(limits.header_bytes.get()),
        headers: limits.headers.get(),
        target_bytes: limits.target_bytes.get(),
        streams: small(limits.streams.get()),
        requests: limits.requests.get(),
        form_bytes: limits.form_bytes.get(),
        form_timeout: limits.form_timeout.get(),
        batch_entries: limits.batch_entries.get(),
        count: small(limits.count.get()),
        link_lifetime: limits.link_lifetime.get(),
        body_bytes: limits.body_bytes.bytes(),
        expansion: small(limits.expansion.get()),
        depth: limits.depth.get(),
        value_bytes: limits.value_bytes.get(),
        held_bytes: limits.held_bytes.get(),
        audit_timeout: limits.audit_timeout.get(),
        drain_timeout: limits.drain_timeout.get(),
    }
}
