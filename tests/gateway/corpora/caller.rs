//! A caller in one role, and the addresses that the role gets.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use fieldgate::fhir::Definitions;
use fieldgate::model::Role;
use fieldgate::net::tls;
use fieldgate::policy::{Policy, RoleView, Treatment};
use fieldgate::redact::transform::Addresses;
use http::{HeaderMap, HeaderValue, Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::folder::Folder;

type Http = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Stands in place of the code that binds a page link to its caller.
pub const TAG: &str = "tag";

pub struct Caller {
    pub role: Role,
    /// Where it reaches its endpoint.
    pub public: String,
    token: Option<HeaderValue>,
    versions: [(Version, Http); 2],
}

pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Caller {
    /// One that is proven by its token, or by its certificate where the folder has no token for its role.
    pub fn new(folder: &Folder, role: &Role, public: String) -> Self {
        let token = std::fs::read_to_string(folder.path(role.as_str())).ok();
        let token = token.map(|line| line.trim().strip_prefix("Authorization: ").unwrap().parse().unwrap());
        let (authority, certificate, key) =
            (folder.path("keys/ca.pem"), folder.path("keys/client.pem"), folder.path("keys/client.key"));
        let identity = token.is_none().then_some((certificate.as_path(), key.as_path()));
        let config = tls::client_config(Some(&authority), identity, &folder.path("")).unwrap();
        let builder = || HttpsConnectorBuilder::new().with_tls_config(config.clone()).https_only();
        let versions = [
            (Version::HTTP_11, Client::builder(TokioExecutor::new()).build(builder().enable_http1().build())),
            (
                Version::HTTP_2,
                Client::builder(TokioExecutor::new()).http2_only(true).build(builder().enable_http2().build()),
            ),
        ];
        Self { role: role.clone(), public, token, versions }
    }

    /// Asks for an address, over one version of HTTP and then the other in turn.
    pub async fn get(&self, url: &str, turn: usize) -> Reply {
        let (version, client) = &self.versions[turn % 2];
        let mut request = Request::get(url);
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        let (head, body) = client.request(request.body(Empty::new()).unwrap()).await.unwrap().into_parts();
        assert_eq!(head.version, *version);
        let body = body.collect().await.expect("the answer ends whole").to_bytes();
        Reply { status: head.status.as_u16(), headers: head.headers, body }
    }
}

/// Where the addresses of an answer lead, told anew by what docs/search.md and docs/policy.md say.
pub struct Led {
    pub policy: Arc<Policy>,
    pub definitions: Definitions,
    pub role: Role,
    /// The upstream's base.
    pub base: String,
    pub public: String,
}

impl Led {
    fn view(&self) -> &RoleView {
        self.policy.role(&self.role).unwrap()
    }

    /// An address below the base, where the role may have it.
    fn below(&self, address: &str) -> Option<String> {
        let (path, query) = address.split_once('?').map_or((address, None), |(path, query)| (path, Some(query)));
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        // A server may keep the pages of all searches at its root; the only search here is for patients.
        let resource = segments.first().copied().unwrap_or("Patient");
        let resource_type = self.definitions.resource(resource)?;
        let shown = |path: &str| self.view().treatment(&self.definitions, resource_type, path) == Treatment::Show;
        let led = match (segments.as_slice(), query) {
            ([] | [_], Some(query)) => {
                let of_a_page = query.contains("_page") || query.contains("_getpages");
                let tag = if of_a_page { format!("&_fieldgate={TAG}") } else { String::new() };
                Some(format!("{path}?{query}{tag}"))
            }
            ([_], None) => Some(path.to_owned()),
            ([_, _], None) => shown("id").then(|| path.to_owned()),
            ([_, _, "_history", _], None) => (shown("id") && shown("meta.versionId")).then(|| path.to_owned()),
            _ => None,
        };
        led.filter(|_| self.view().sees(resource_type))
    }
}

impl Addresses for Led {
    fn rewrite<'t>(&self, address: &'t str) -> Option<Cow<'t, str>> {
        if address.starts_with("urn:uuid:") {
            return Some(Cow::Borrowed(address));
        }
        match address.strip_prefix(&self.base) {
            Some(below) => Some(format!("{}{}", self.public, self.below(below)?).into()),
            None if address.contains("://") => None,
            None => self.below(&format!("/{address}"))?.strip_prefix('/').map(|path| path.to_owned().into()),
        }
    }
}
