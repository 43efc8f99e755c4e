//! A gateway file → a running gateway: its start, its reload, its drain.
//!
//! It starts from the inside out: policy, secrets, certificates, keys and upstreams are read first, then the audit trail
//! is opened, and only then do listeners accept. It stops from the outside in. It must never serve under half of a
//! configuration: one that has a mistake is not taken, and what ran before runs on.

mod load;

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{error, info, warn};

use self::load::Loaded;
use crate::admin::{self, Admin, Readiness};
use crate::audit::{self, Journal, JournalError};
use crate::config::{Config, ConfigError, Findings};
use crate::fhir::Definitions;
use crate::guard::PageKey;
use crate::metrics::{Metrics, MetricsError};
use crate::policy::Finding;
use crate::proxy::server::Server;
use crate::proxy::{Capacity, Gateway, RequestIds};

/// A running gateway. Dropped, it ends at once and cuts off what is under way; [`Running::stop`] lets it end.
pub struct Running {
    path: PathBuf,
    fixed: Fixed,
    shared: Shared,
    gateway: Arc<ArcSwap<Gateway>>,
    tls: Vec<Option<Arc<ArcSwap<ServerConfig>>>>,
    addresses: Vec<SocketAddr>,
    admin_address: Option<SocketAddr>,
    readiness: Arc<Readiness>,
    stop: watch::Sender<bool>,
    servers: JoinSet<io::Result<()>>,
    admin: Option<AbortOnDrop>,
}

/// What every generation of configuration shares.
struct Shared {
    definitions: Definitions,
    journal: Journal,
    metrics: Arc<Metrics>,
    capacity: Arc<Capacity>,
    /// The key of page links where there is no secret.
    page_key: [u8; 32],
    clock: fn() -> Timestamp,
}

/// What a reload cannot change.
#[derive(Debug, PartialEq, Eq)]
struct Fixed {
    /// Each listener's address, and whether it speaks TLS.
    listeners: Vec<(SocketAddr, bool)>,
    admin: Option<SocketAddr>,
    audit: audit::Config,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Running {
    /// Starts the gateway of a gateway file. When this answers, the listeners accept and the gateway is ready.
    ///
    /// # Errors
    /// A mistake in a file, an address that cannot be listened on, an audit trail that cannot be written.
    pub async fn start(path: &Path, clock: fn() -> Timestamp) -> Result<Self, StartError> {
        let definitions = Definitions::r4();
        let (config, loaded) = read(path, &definitions, clock())?;
        let metrics = Arc::new(Metrics::new()?);
        let page_key = random()?;
        let limits = load::limits(config.limits());
        let listeners = bind_all(&config).await?;
        let admin_listener = match config.admin() {
            Some(admin) => Some(bind(admin.address.value).await?),
            None => None,
        };
        let journal = Journal::open(config.audit(), config.base(), clock)?;
        let capacity = Capacity::new(&limits, Arc::clone(&metrics));
        let shared = Shared { definitions, journal, metrics, capacity, page_key, clock };
        let readiness = Arc::new(Readiness::default());
        let tls: Vec<_> =
            loaded.files.tls.iter().map(|tls| tls.clone().map(|tls| Arc::new(ArcSwap::new(tls)))).collect();
        let gateway = Arc::new(ArcSwap::new(shared.generation(&config, loaded)));
        let (stop, stopped) = watch::channel(false);
        let server = Server::new(Arc::clone(&gateway));
        let mut running = Self {
            path: path.into(),
            fixed: Fixed::of(&config),
            shared,
            gateway,
            tls,
            addresses: Vec::new(),
            admin_address: None,
            readiness,
            stop,
            servers: JoinSet::new(),
            admin: None,
        };
        if let Some(listener) = admin_listener {
            running.admin_address = Some(listener.local_addr().map_err(StartError::Network)?);
            running.admin = Some(running.serve_admin(listener));
        }
        for (listener, tls) in listeners.into_iter().zip(&running.tls) {
            running.addresses.push(listener.local_addr().map_err(StartError::Network)?);
            let mut stopped = stopped.clone();
            let stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
            running.servers.spawn(Arc::clone(&server).serve(listener, tls.clone(), stop));
        }
        running.readiness.serve();
        info!(
            addresses = ?running.addresses,
            admin = running.admin_address.map(tracing::field::display),
            policy = running.gateway.load().policy.generation(),
            version = env!("CARGO_PKG_VERSION"),
            "ready"
        );
        Ok(running)
    }

    fn serve_admin(&self, listener: TcpListener) -> AbortOnDrop {
        let admin = Arc::new(Admin {
            metrics: Arc::clone(&self.shared.metrics),
            readiness: Arc::clone(&self.readiness),
            journal: self.shared.journal.clone(),
            clock: self.shared.clock,
        });
        AbortOnDrop(tokio::spawn(async move { match admin::serve(listener, admin).await {} }))
    }

    /// Where the data listeners listen, in the order of the gateway file.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the admin listener listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Reads the gateway file and all that it names anew. New requests and connections get the new configuration, those
    /// under way end with the old. The journal, the listeners' addresses and what limits the whole process stay.
    ///
    /// # Errors
    /// Any mistake in any file; then everything is as it was. It is counted and logged.
    pub fn reload(&self) -> Result<(), StartError> {
        let reloaded = self.try_reload();
        match &reloaded {
            Ok(()) => info!(policy = self.gateway.load().policy.generation(), "reloaded"),
            Err(failed) => {
                self.shared.metrics.reload_failed();
                for mistake in failed.mistakes() {
                    error!(%mistake, "not reloaded: the configuration has a mistake");
                }
                error!(error = with_causes(failed), "not reloaded: what ran before runs on");
            }
        }
        reloaded
    }

    fn try_reload(&self) -> Result<(), StartError> {
        let (config, loaded) = read(&self.path, &self.shared.definitions, (self.shared.clock)())?;
        if let Some(mistake) = self.fixed.differs(&config) {
            return Err(StartError::Mistakes(vec![mistake]));
        }
        for (current, new) in self.tls.iter().zip(&loaded.files.tls) {
            if let (Some(current), Some(new)) = (current, new) {
                current.store(Arc::clone(new));
            }
        }
        self.gateway.store(self.shared.generation(&config, loaded));
        Ok(())
    }

    /// Waits until a listener has failed, which without [`Running::stop`] none should.
    pub async fn failed(&mut self) -> StartError {
        match self.servers.join_next().await {
            Some(Ok(Err(error))) => StartError::Network(error),
            Some(Err(error)) => StartError::Network(io::Error::other(error)),
            Some(Ok(Ok(()))) | None => StartError::Network(io::Error::other("a listener has ended")),
        }
    }

    /// Says that the gateway is not ready, takes no more connections, lets what is under way end for as long as
    /// `limits.drain_timeout` says, and closes the audit trail.
    ///
    /// # Errors
    /// Ends of answers could not be written to the audit trail.
    pub async fn stop(mut self) -> Result<(), JournalError> {
        self.readiness.drain();
        info!("draining");
        self.stop.send_replace(true);
        while let Some(ended) = self.servers.join_next().await {
            if let Ok(Err(error)) = ended {
                warn!(%error, "a listener failed");
            }
        }
        // INVARIANT: the last answer has ended or was cut off, and has given its ticket back.
        self.shared.journal.clone().close().await?;
        info!("stopped");
        Ok(())
    }
}

impl Shared {
    /// A generation of configuration, from now on.
    fn generation(&self, config: &Config, loaded: Loaded) -> Arc<Gateway> {
        for warning in &loaded.warnings {
            warn!(%warning, "worth a second look");
        }
        for (name, seconds) in &loaded.files.expiries {
            self.metrics.certificate_expiry(name, *seconds);
        }
        self.metrics.policy_generation(loaded.policy.generation());
        // Gateways that share a secret take one another's page links and validators, and their own from before a restart.
        let shared = loaded.files.secret.as_ref().and_then(|secret| secret.key_for("page links"));
        Arc::new(Gateway {
            policy: loaded.policy,
            definitions: self.definitions,
            identity: loaded.files.identity,
            roles: loaded.files.roles,
            endpoints: loaded.files.endpoints,
            journal: self.journal.clone(),
            metrics: Arc::clone(&self.metrics),
            capacity: Arc::clone(&self.capacity),
            secret: loaded.files.secret,
            page_key: PageKey::new(shared.unwrap_or(self.page_key)),
            limits: load::limits(config.limits()),
            ids: RequestIds::new(),
            clock: self.clock,
        })
    }
}

impl Fixed {
    fn of(config: &Config) -> Self {
        Self {
            listeners: config.listeners().map(|listen| (listen.address.value, listen.tls.is_some())).collect(),
            admin: config.admin().map(|admin| admin.address.value),
            audit: config.audit().clone(),
        }
    }

    fn differs(&self, config: &Config) -> Option<Finding> {
        let new = Self::of(config);
        let what = if new.listeners != self.listeners {
            "the listeners' addresses, and whether they speak TLS,"
        } else if new.admin != self.admin {
            "the admin listener's address"
        } else if new.audit != self.audit {
            "audit"
        } else {
            return None;
        };
        Some(config.anywhere(format!("{what} can't change while the gateway runs: restart it")))
    }
}

/// What the files beside the policy of a gateway file get wrong: certificates, keys, secrets, upstreams.
pub fn check_files(config: &Config, now: Timestamp) -> Findings {
    let mut found = Findings::default();
    // The findings are what is asked for.
    drop(load::files(config, now, &mut found));
    found
}

fn read(path: &Path, definitions: &Definitions, now: Timestamp) -> Result<(Config, Loaded), StartError> {
    let config = Config::read(path)?;
    let loaded =
        load::load(&config, definitions, now, day(now)).map_err(|found| StartError::Mistakes(found.mistakes))?;
    Ok((config, loaded))
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

async fn bind_all(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for listen in config.listeners() {
        listeners.push(bind(listen.address.value).await?);
    }
    Ok(listeners)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn random() -> Result<[u8; 32], StartError> {
    let mut bytes = [0; 32];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| StartError::Randomness)?;
    Ok(bytes)
}

/// Why a gateway cannot start, or not take a configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The gateway file cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The files have mistakes; all of them.
    #[error("the configuration has {}", Counted(.0.len()))]
    Mistakes(Vec<Finding>),
    /// An address cannot be listened on.
    #[error("{}", listen_text(*.address, .source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The audit trail cannot be written: without it nothing is served.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A listener failed.
    #[error("a listener failed")]
    Network(#[source] io::Error),
    /// The system has no randomness.
    #[error("the system gives no random bytes")]
    Randomness,
    /// The metrics cannot be set up.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

impl StartError {
    /// Every mistake of the files, with its place.
    pub fn mistakes(&self) -> &[Finding] {
        match self {
            Self::Mistakes(mistakes) => mistakes,
            Self::Config(ConfigError::Syntax(mistake)) => std::slice::from_ref(mistake),
            _ => &[],
        }
    }
}

struct Counted(usize);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 mistake"),
            count => write!(f, "{count} mistakes"),
        }
    }
}

fn listen_text(address: SocketAddr, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!("address {address} is in use: stop what listens there, or choose another"),
        io::ErrorKind::AddrNotAvailable => format!("address {address} is not one of this machine"),
        io::ErrorKind::PermissionDenied => format!("address {address} needs more rights: choose a port from 1024 on"),
        _ => format!("address {address} cannot be listened on"),
    }
}

/// An error and its causes on one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Where a layer passes an error on as it is, it would be said twice.
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}
