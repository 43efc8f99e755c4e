//! A gateway on loopback, plain and over TLS, and the client that reads what it answers byte by byte.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fieldgate::access::Scope;
use fieldgate::audit::{self, Journal};
use fieldgate::fhir::Definitions;
use fieldgate::guard::{Declared, PageKey};
use fieldgate::identity::{self, Fetch, FetchError, Identity, RoleMap, RoleRule};
use fieldgate::metrics::Metrics;
use fieldgate::model::Role;
use fieldgate::net::address::CanonicalPath;
use fieldgate::net::tls::{ServerTls, server_config};
use fieldgate::net::upstream::{Upstream, UpstreamConfig};
use fieldgate::policy::Policy;
use fieldgate::proxy::server::Server;
use fieldgate::proxy::{Capacity, Endpoint, Gateway, Limits, Narrows, PathPattern, RequestIds, Serves, Unseen};
use fieldgate::redact::transform::Secret;
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair, SanType};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const POLICY: &str = r#"
version: 1
fhir: R4
documents:
  member-record: { about: "GET /v1/members/{id}" }
roles:
  desk:
    about: Books visits. Needs who, when and where; never why.
    owner: desk@hospital.example
    review_by: 2999-01-01
    purposes: [HOPERAT, TREAT]
    sees:
      Patient: { name: show, gender: show, birthDate: year }
      Observation: { where: "@.status == 'final'", code: show, subject: show }
  billing:
    about: Bills.
    owner: billing@hospital.example
    review_by: 2999-01-01
    purposes: [HPAYMT]
    sees:
      Patient: { identifier: show, birthDate: show }
      member-record: { "$.id": show, "$.plan": show }
  clinician:
    about: Treats patients.
    owner: care@hospital.example
    review_by: 2999-01-01
    purposes: [TREAT]
    sees: { "*": show }
    may: [read, vread, search]
"#;

/// What a test changes of a gateway.
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    /// Lines of YAML beside the upstream's `url`.
    pub(crate) upstream: String,
    /// The gateway file's `rate`.
    pub(crate) rate: Option<&'static str>,
    pub(crate) policy: String,
    /// The search parameters of the upstream's own.
    pub(crate) declared: Declared,
    /// Lines of YAML beside the API keys of the gateway file's `identity`.
    pub(crate) identity: String,
    /// Lines of YAML behind the gateway file's `roles`.
    pub(crate) rules: String,
    /// The roles of each endpoint.
    pub(crate) roles: Vec<&'static str>,
    pub(crate) unseen: Unseen,
    pub(crate) narrows: Vec<Narrows>,
}

impl Default for Setup {
    fn default() -> Self {
        let limits = Limits { drain_timeout: Duration::from_secs(5), ..Limits::default() };
        Self {
            limits,
            upstream: String::new(),
            rate: None,
            policy: POLICY.to_owned(),
            declared: Declared::default(),
            identity: String::new(),
            rules: String::new(),
            roles: vec!["desk", "billing", "clinician"],
            unseen: Unseen::Forbidden,
            narrows: Vec::new(),
        }
    }
}

/// A gateway that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) generation: Arc<ArcSwap<Gateway>>,
    pub(crate) folder: TempDir,
    stops: Vec<oneshot::Sender<()>>,
    tasks: Vec<JoinHandle<std::io::Result<()>>>,
}

struct NoFetch;

impl Fetch for NoFetch {
    fn get<'a>(
        &'a self,
        _: &'a url::Url,
        _: usize,
    ) -> Pin<Box<dyn Future<Output = Result<bytes::Bytes, FetchError>> + Send + 'a>> {
        panic!("no keys are at URLs")
    }
}

/// The API key of a caller. `both` may act as desk and as clinician, `nobody` in no role.
pub(crate) fn key(caller: &str) -> String {
    format!("{caller}-key-{}", "0123456789".repeat(4))
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn yaml<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_saphyr::from_str(text).unwrap()
}

impl Running {
    /// A gateway before an upstream whose FHIR API is below `/fhir` and whose documents are below `/api`.
    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        Self::start(upstream, Setup::default()).await
    }

    pub(crate) async fn start(upstream: SocketAddr, setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let generation = Arc::new(ArcSwap::from_pointee(gateway(upstream, setup, folder.path())));
        let server = Server::new(Arc::clone(&generation));
        let certificate = certificate(folder.path());
        let (mut stops, mut tasks, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for tls in [None, Some(certificate)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            let (stop, stopped) = oneshot::channel::<()>();
            stops.push(stop);
            let server = Arc::clone(&server);
            let tls = tls.map(|tls| Arc::new(ArcSwap::new(tls)));
            tasks.push(tokio::spawn(server.serve(listener, tls, async move { drop(stopped.await) })));
        }
        Self { plain: addresses[0], tls: addresses[1], generation, folder, stops, tasks }
    }

    /// Stops taking requests and waits for those under way.
    pub(crate) async fn stop(&mut self) {
        self.stops.clear();
        for task in self.tasks.drain(..) {
            task.await.unwrap().unwrap();
        }
    }

    pub(crate) fn metrics(&self) -> String {
        self.generation.load().metrics.render().unwrap()
    }

    /// The audit trail as text, once everything that was asked for has been written.
    pub(crate) async fn trail(mut self) -> String {
        self.stop().await;
        let gateway = self.generation.load_full();
        gateway.journal.clone().close().await.unwrap();
        let mut text = String::new();
        for file in std::fs::read_dir(self.folder.path().join("audit")).unwrap() {
            text += &std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        }
        text
    }

    /// GET as a caller, over HTTP/1.1.
    pub(crate) async fn get(&self, caller: &str, target: &str) -> Reply {
        self.ask(&format!("GET {target} HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {}\r\n\r\n", key(caller))).await
    }

    /// GET as a caller, with more header fields.
    pub(crate) async fn get_with(&self, caller: &str, target: &str, fields: &str) -> Reply {
        let key = key(caller);
        self.ask(&format!("GET {target} HTTP/1.1\r\nhost: gw.example\r\nx-api-key: {key}\r\n{fields}\r\n")).await
    }

    /// Any message, byte for byte.
    pub(crate) async fn ask(&self, message: &str) -> Reply {
        let mut stream = TcpStream::connect(self.plain).await.unwrap();
        stream.write_all(message.as_bytes()).await.unwrap();
        let head = message.split_once(' ').map_or("", |(method, _)| method) == "HEAD";
        Reply::read(&mut stream, head).await
    }
}

/// One generation of configuration.
pub(crate) fn gateway(upstream: SocketAddr, setup: Setup, folder: &Path) -> Gateway {
    let Setup { limits, upstream: more, rate, policy, declared, identity, rules, roles, unseen, narrows } = setup;
    let callers = ["desk", "billing", "clinician", "both", "nobody"];
    let keys: String = callers
        .iter()
        .map(|caller| {
            let hash: String = Sha256::digest(key(caller)).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("- {{ name: {caller}, sha256: {hash} }}\n")
        })
        .collect();
    std::fs::write(folder.join("keys.yaml"), keys).unwrap();
    let config: identity::Config = yaml(&format!("api_keys: {{ file: keys.yaml }}\n{identity}"));
    let identity = Arc::new(Identity::open(&config, folder, Arc::new(NoFetch)).unwrap());
    let rules: Vec<RoleRule> = yaml(
        &[
            "- { role: desk, when: { api_key: desk } }\n- { role: billing, when: { api_key: billing } }\n\
         - { role: clinician, when: { api_key: clinician } }\n- { role: clinician, when: { api_key: both } }\n\
         - { role: desk, when: { api_key: both } }\n\
         - { role: billing, when: { certificate: { san_uri: \"spiffe://acme.example/billing\" } } }\n",
            &rules,
        ]
        .concat(),
    );
    let definitions = Definitions::r4();
    let (policy, _) = Policy::parse("policy.yaml", &policy, &definitions).unwrap_or_else(|found| panic!("{found}"));
    let metrics = Arc::new(Metrics::new().unwrap());
    let endpoint = |name: &str, path: &str, below: &str, serves: Serves| {
        let config: UpstreamConfig = yaml(&format!("url: http://{upstream}{below}\n{more}"));
        Arc::new(Endpoint {
            name: name.into(),
            path: CanonicalPath::parse(path).unwrap(),
            upstream: Arc::new(Upstream::open(&config, folder).unwrap()),
            serves,
            roles: roles.iter().copied().map(Role::new).collect(),
            scope: Scope::new(None, None, None, rate.map(yaml)).unwrap(),
            public_url: None,
            page_parameters: Vec::new(),
            search_parameters: declared.clone(),
            unseen,
            narrows: narrows.clone(),
        })
    };
    let documents = vec![(PathPattern::parse("/v1/members/{id}").unwrap(), "member-record".into())];
    let audit: audit::Config = yaml("directory: audit");
    Gateway {
        roles: RoleMap::new(&rules, &identity).unwrap(),
        identity,
        policy: Arc::new(policy),
        definitions,
        endpoints: vec![
            endpoint("ehr", "/fhir", "/fhir", Serves::Fhir),
            endpoint("plan", "/plan", "/api", Serves::Documents(documents)),
        ],
        journal: Journal::open(&audit, folder, now).unwrap(),
        capacity: Capacity::new(&limits, Arc::clone(&metrics)),
        metrics,
        secret: Some(Arc::new(Secret::new([7; 32]).unwrap())),
        page_key: PageKey::new([9; 32]),
        limits,
        ids: RequestIds::new(),
        clock: now,
    }
}

/// The URI in the certificate of `client.pem`.
const CLIENT: &str = "spiffe://acme.example/billing";

/// Writes the certificates of the gateway and of a client. The client's is its own authority.
fn certificate(folder: &Path) -> Arc<rustls::ServerConfig> {
    for (name, params) in [
        ("gateway", CertificateParams::new(vec!["localhost".to_owned()]).unwrap()),
        ("client", {
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![SanType::URI(CLIENT.try_into().unwrap())];
            params
        }),
    ] {
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let config: ServerTls = yaml("{ certificate: gateway.pem, key: gateway.key, client_ca: client.pem }");
    server_config(&config, folder).unwrap()
}

/// An answer over HTTP/1.1, and whether it ended as its framing says.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The head in lower case, and as it came.
    pub(crate) head: String,
    pub(crate) original: String,
    pub(crate) body: Vec<u8>,
    pub(crate) whole: bool,
}

impl Reply {
    /// Reads one answer to its end, or to the end of the connection.
    pub(crate) async fn read(stream: &mut TcpStream, is_head: bool) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        let original = String::from_utf8(head).unwrap();
        let head = original.to_ascii_lowercase();
        let status = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
        let mut reply = Self { status, head, original, body: Vec::new(), whole: true };
        if is_head || matches!(status, 0 | 204 | 304) {
            return reply;
        }
        match reply.field("content-length").map(|length| length.parse::<usize>().unwrap()) {
            Some(length) => {
                reply.body.resize(length, 0);
                reply.whole = stream.read_exact(&mut reply.body).await.is_ok();
            }
            None => reply.whole = reply.chunks(stream).await.is_some(),
        }
        reply
    }

    async fn chunks(&mut self, stream: &mut TcpStream) -> Option<()> {
        assert_eq!(self.field("transfer-encoding"), Some("chunked"), "{}", self.head);
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(stream.read_u8().await.ok()?);
            }
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            let mut chunk = vec![0; size];
            for byte in &mut chunk {
                *byte = stream.read_u8().await.ok()?;
                self.body.push(*byte);
            }
            let mut end = [0; 2];
            stream.read_exact(&mut end).await.ok()?;
            assert_eq!(&end, b"\r\n");
            if size == 0 {
                return Some(());
            }
        }
    }

    /// The value of a header field, in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert!(self.whole, "the answer was cut off");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// That it is an OperationOutcome with this status and this issue type.
    #[track_caller]
    pub(crate) fn is_outcome(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.field("content-type"), Some("application/fhir+json"));
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        assert_eq!(outcome["issue"][0]["code"], code, "{}", self.text());
        assert!(outcome["issue"][0]["diagnostics"].as_str().is_some_and(|text| !text.is_empty()));
        assert_eq!(self.field("cache-control"), Some("private, no-store"));
    }
}
