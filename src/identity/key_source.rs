//! Where an issuer's keys come from: a file read once, or a URL fetched, kept and fetched anew.
//!
//! A fetch is never started by more than one request at a time, never more often than every 30 seconds for unknown key
//! ids, whatever callers send, and doesn't end with the request that started it: a caller who hangs up must not keep an
//! issuer's new keys out.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use url::Url;

use super::jwk::{KEY_SET_LIMIT, KeySet, KeySetError};

/// Fetched keys older than this are fetched anew before they are used.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// Where that fails, the old keys stay usable until this age.
const USABLE: SignedDuration = SignedDuration::from_hours(24);
/// The pause after a fetch that failed, and between fetches for unknown key ids.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// The most time that one fetch may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Fetches the document at a URL: the outgoing HTTP client as this layer sees it.
pub trait Fetch: Send + Sync {
    /// The body of the 200 answer to a GET of `url`, read no further than `limit` bytes.
    ///
    /// Redirects aren't followed: whoever may redirect would choose the keys.
    fn get<'a>(
        &'a self,
        url: &'a Url,
        limit: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + 'a>>;
}

/// Why a document couldn't be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Any other status than 200.
    #[error("the server answered with status {0} instead of 200")]
    Status(u16),
    /// The body is over the limit.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// No answer came in time.
    #[error("no answer came within {} seconds", PATIENCE.as_secs())]
    TooSlow,
    /// No connection, no handshake, or one that broke.
    #[error("the server can't be reached: check address, trust and network")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
}

/// The issuer's keys can't be had now; the caller isn't to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unavailable;

/// The keys of one issuer.
pub(super) enum KeySource {
    /// Read when the gateway file was.
    File(Arc<KeySet>),
    /// Fetched from a URL.
    Url(Arc<FetchedKeys>),
}

impl KeySource {
    /// The URL that the keys are at.
    pub(super) fn url(&self) -> Option<&Url> {
        match self {
            Self::File(_) => None,
            Self::Url(fetched) => Some(&fetched.url),
        }
    }

    /// The keys to verify with.
    pub(super) async fn current(&self, now: Timestamp) -> Result<Arc<KeySet>, Unavailable> {
        match self {
            Self::File(keys) => Ok(keys.clone()),
            Self::Url(fetched) => fetched.current(now).await,
        }
    }

    /// Newer keys than `used`, which lack the one that a token names.
    pub(super) async fn newer(&self, used: &Arc<KeySet>, now: Timestamp) -> Option<Arc<KeySet>> {
        match self {
            Self::File(_) => None,
            Self::Url(fetched) => fetched.newer(used, now).await,
        }
    }
}

/// Keys from a URL.
pub(super) struct FetchedKeys {
    url: Url,
    fetch: Arc<dyn Fetch>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Option<(Arc<KeySet>, Timestamp)>,
    /// When the last fetch began.
    began: Option<Timestamp>,
    /// When the last fetch for an unknown key id began.
    began_for_unknown: Option<Timestamp>,
    /// Closes when the fetch under way has ended.
    under_way: Option<watch::Receiver<()>>,
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("fetching failed")]
    Fetch(#[from] FetchError),
    #[error("what was fetched can't be used")]
    KeySet(#[from] KeySetError),
}

impl FetchedKeys {
    pub(super) fn new(url: Url, fetch: Arc<dyn Fetch>) -> Self {
        Self { url, fetch, state: Mutex::default() }
    }

    async fn current(self: &Arc<Self>, now: Timestamp) -> Result<Arc<KeySet>, Unavailable> {
        let ended = {
            let mut state = self.lock();
            let fresh = state.keys.as_ref().is_some_and(|(_, since)| within(FRESH, *since, now));
            let pausing = state.began.is_some_and(|began| within(PAUSE, began, now)) && state.under_way.is_none();
            (!fresh && !pausing).then(|| state.fetch(self, now))
        };
        if let Some(ended) = ended {
            wait(ended).await;
        }
        match &self.lock().keys {
            Some((keys, since)) if within(USABLE, *since, now) => Ok(keys.clone()),
            _ => Err(Unavailable),
        }
    }

    async fn newer(self: &Arc<Self>, used: &Arc<KeySet>, now: Timestamp) -> Option<Arc<KeySet>> {
        let ended = {
            let mut state = self.lock();
            let pausing = state.began_for_unknown.is_some_and(|began| within(PAUSE, began, now));
            if pausing {
                state.under_way.clone()
            } else {
                state.began_for_unknown = Some(now);
                Some(state.fetch(self, now))
            }
        };
        if let Some(ended) = ended {
            wait(ended).await;
        }
        let state = self.lock();
        state.keys.as_ref().map(|(keys, _)| keys).filter(|keys| !Arc::ptr_eq(keys, used)).cloned()
    }

    async fn load(&self) -> Result<KeySet, LoadError> {
        let fetched = tokio::time::timeout(PATIENCE, self.fetch.get(&self.url, KEY_SET_LIMIT)).await;
        Ok(KeySet::parse(&fetched.map_err(|_| FetchError::TooSlow)??)?)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is one assignment, so a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The end of the fetch under way, which is begun where none is.
    fn fetch(&mut self, source: &Arc<FetchedKeys>, now: Timestamp) -> watch::Receiver<()> {
        if let Some(under_way) = &self.under_way
            && under_way.has_changed().is_ok()
        {
            return under_way.clone();
        }
        let (end, ended) = watch::channel(());
        self.began = Some(now);
        self.under_way = Some(ended.clone());
        let source = source.clone();
        tokio::spawn(async move {
            let loaded = source.load().await;
            let mut state = source.lock();
            match loaded {
                Ok(keys) => {
                    for (at, why) in keys.skipped() {
                        tracing::warn!(url = %source.url, at, %why, "a key of the issuer's key set isn't used");
                    }
                    state.keys = Some((Arc::new(keys), now));
                }
                Err(error) => {
                    let cause = error.source().map(ToString::to_string);
                    tracing::warn!(url = %source.url, %error, cause, "the issuer's keys couldn't be fetched");
                }
            }
            state.under_way = None;
            drop(state);
            drop(end);
        });
        ended
    }
}

/// Waits until the sender is gone, which it is however the fetch ends.
async fn wait(mut ended: watch::Receiver<()>) {
    while ended.changed().await.is_ok() {}
}

/// Whether `now` is less than `span` after `since`. A clock that was set back proves no freshness.
fn within(span: SignedDuration, since: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(since);
    !age.is_negative() && age < span
}
