//! Who leads: a Lease, and the fencing token that goes with it.
//!
//! A candidate never compares its clock with a time that somebody else wrote. It counts, on its
//! own monotonic clock, for how long the Lease has not changed; after the Lease's duration without
//! a change the holder is taken for dead. A holder stops by itself when it has not been able to
//! renew for `renew_deadline`, which is shorter. Both together bound the overlap of two leaders,
//! and the token takes away what remains: a node refuses the commands of the older one.
//!
//!   token = max(transitions of the Lease, token of the last holder, highest seen on a node) + 1
//!
//! It is written into the Lease, with the Lease's resourceVersion as the precondition, before it
//! is used for the first time. Somebody who lost the Lease can therefore not raise his token.
//! Not known here: what a leader does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Annotation of the Lease with the holder's fencing token.
const ANNOTATION_TOKEN: &str = "holdfast.dev/fencing-token";

/// Which Lease, who asks for it, and how patient everybody is.
#[derive(Debug, Clone)]
pub struct LeaseSettings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who asks; unique among the processes that run at the same time.
    pub identity: String,
    /// Time without a change after which the holder is taken for dead.
    pub duration: Duration,
    /// Time without a successful renewal after which the holder stops by itself.
    pub renew_deadline: Duration,
    /// Time between two attempts.
    pub retry_period: Duration,
}

/// Why the Lease could not be taken, kept or used.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The API server did not do it.
    #[error("failed to write Lease {name}: {source}")]
    Api {
        /// Name of the Lease.
        name: String,
        /// What the API server or the connection said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("failed to write Lease {name}: no answer in time")]
    Deadline {
        /// Name of the Lease.
        name: String,
    },
    /// Somebody else leads now.
    #[error("lost Lease {name} to {holder}")]
    Lost {
        /// Name of the Lease.
        name: String,
        /// Who holds it.
        holder: String,
    },
}

/// What a candidate knows of the Lease, by its own clock.
#[derive(Debug, Default)]
struct Watched {
    version: String,
    unchanged_since: Option<Instant>,
}

impl Watched {
    /// Whether the Lease may be taken now.
    fn may_take(&mut self, lease: &Lease, identity: &str, now: Instant) -> bool {
        let version = lease.resource_version().unwrap_or_default();
        if self.unchanged_since.is_none() || self.version != version {
            self.version = version;
            self.unchanged_since = Some(now);
        }
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|s| s.holder_identity.as_deref()).unwrap_or_default();
        // Our own name is that of an earlier life of this pod, which has ended.
        if holder.is_empty() || holder == identity {
            return true;
        }
        let seconds = spec.and_then(|s| s.lease_duration_seconds).unwrap_or(0).max(0);
        let patience = Duration::from_secs(u64::from(seconds.unsigned_abs()));
        self.unchanged_since.is_some_and(|since| now.duration_since(since) >= patience)
    }
}

/// The Lease, while it is ours.
pub struct Leadership {
    api: Api<Lease>,
    settings: LeaseSettings,
    lease: Mutex<Lease>,
    token: AtomicU64,
    /// The token has been shown to a node.
    used: AtomicBool,
    started: Instant,
    renewed_after_ms: AtomicU64,
}

/// Waits until the Lease is ours.
pub(super) async fn acquire(client: &Client, settings: &LeaseSettings) -> Leadership {
    let api: Api<Lease> = Api::namespaced(client.clone(), &settings.namespace);
    let mut watched = Watched::default();
    let mut holder_told = String::new();
    loop {
        let asked_at = Instant::now();
        let attempt = attempt(&api, settings, &mut watched);
        match tokio::time::timeout(settings.renew_deadline, attempt).await {
            Ok(Ok(Attempt::Taken(lease))) => {
                let token = token_of(&lease);
                return Leadership {
                    api,
                    settings: settings.clone(),
                    lease: Mutex::new(lease),
                    token: AtomicU64::new(token),
                    used: AtomicBool::new(false),
                    started: asked_at,
                    renewed_after_ms: AtomicU64::new(0),
                };
            }
            Ok(Ok(Attempt::HeldBy(holder))) => {
                if holder != holder_told {
                    tracing::info!(holder, "Another operator leads; this one stands by.");
                    holder_told = holder;
                }
            }
            Ok(Err(e)) => tracing::warn!(error = %e, "The Lease could not be taken."),
            Err(_) => tracing::warn!("The API server did not answer about the Lease in time."),
        }
        tokio::time::sleep(settings.retry_period).await;
    }
}

enum Attempt {
    Taken(Lease),
    HeldBy(String),
}

async fn attempt(
    api: &Api<Lease>,
    settings: &LeaseSettings,
    watched: &mut Watched,
) -> Result<Attempt, Box<kube::Error>> {
    let Some(lease) = api.get_opt(&settings.name).await? else {
        let fresh = taken(None, settings);
        return match api.create(&PostParams::default(), &fresh).await {
            Ok(lease) => Ok(Attempt::Taken(lease)),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Ok(Attempt::HeldBy("somebody who was faster".to_owned()))
            }
            Err(e) => Err(Box::new(e)),
        };
    };
    if !watched.may_take(&lease, &settings.identity, Instant::now()) {
        return Ok(Attempt::HeldBy(holder_of(&lease)));
    }
    let wished = taken(Some(&lease), settings);
    match api.replace(&settings.name, &PostParams::default(), &wished).await {
        Ok(lease) => Ok(Attempt::Taken(lease)),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Ok(Attempt::HeldBy("somebody who was faster".to_owned()))
        }
        Err(e) => Err(Box::new(e)),
    }
}

/// The Lease as it is when we have taken it from its last holder.
fn taken(last: Option<&Lease>, settings: &LeaseSettings) -> Lease {
    let last_spec = last.and_then(|l| l.spec.as_ref());
    let transitions = last_spec.and_then(|s| s.lease_transitions).unwrap_or(0).saturating_add(1);
    let past_token = last.map_or(0, token_of);
    let token = past_token.max(u64::from(transitions.unsigned_abs())).saturating_add(1);
    let now = MicroTime(Timestamp::now());
    let spec = LeaseSpec {
        acquire_time: Some(now.clone()),
        holder_identity: Some(settings.identity.clone()),
        lease_duration_seconds: i32::try_from(settings.duration.as_secs()).ok(),
        lease_transitions: Some(transitions),
        renew_time: Some(now),
        ..LeaseSpec::default()
    };
    let mut lease = last.cloned().unwrap_or_else(|| Lease {
        metadata: ObjectMeta { name: Some(settings.name.clone()), ..ObjectMeta::default() },
        spec: None,
    });
    lease.annotations_mut().insert(ANNOTATION_TOKEN.to_owned(), token.to_string());
    lease.spec = Some(spec);
    lease
}

fn token_of(lease: &Lease) -> u64 {
    lease.annotations().get(ANNOTATION_TOKEN).and_then(|t| t.parse().ok()).unwrap_or(0)
}

fn holder_of(lease: &Lease) -> String {
    let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.clone());
    holder.filter(|h| !h.is_empty()).unwrap_or_else(|| "nobody".to_owned())
}

impl Leadership {
    /// The token that a command to a node carries.
    pub fn show_token(&self) -> u64 {
        self.used.store(true, Ordering::Release);
        self.token.load(Ordering::Acquire)
    }

    /// False once the last renewal is older than the deadline: from then on nothing may be done
    /// in the name of this leadership.
    pub fn is_valid(&self) -> bool {
        let renewed = Duration::from_millis(self.renewed_after_ms.load(Ordering::Acquire));
        self.started.elapsed() < renewed + self.settings.renew_deadline
    }

    /// Makes sure, durably, that the token is above what a node has seen from somebody else.
    pub async fn raise_above(&self, seen: u64) -> Result<(), LeaseError> {
        let own = || self.token.load(Ordering::Acquire);
        let is_ours = || seen == own() && self.used.load(Ordering::Acquire);
        if seen < own() || is_ours() {
            return Ok(());
        }
        let mut lease = self.lease.lock().await;
        if seen < own() || is_ours() {
            return Ok(());
        }
        let token = seen.saturating_add(1);
        let mut wished = lease.clone();
        wished.annotations_mut().insert(ANNOTATION_TOKEN.to_owned(), token.to_string());
        *lease = self.write(wished).await?;
        self.token.store(token, Ordering::Release);
        tracing::info!(token, "The fencing token was raised above one that a node has seen.");
        Ok(())
    }

    /// Renews until it is lost, and tells why.
    pub async fn keep(&self) -> LeaseError {
        loop {
            tokio::time::sleep(self.settings.retry_period).await;
            let Err(e) = self.renew().await else { continue };
            if matches!(e, LeaseError::Lost { .. }) || !self.is_valid() {
                return e;
            }
            tracing::warn!(error = %e, "The Lease was not renewed; trying again.");
        }
    }

    async fn renew(&self) -> Result<(), LeaseError> {
        let asked_at = self.started.elapsed();
        let mut lease = self.lease.lock().await;
        let mut wished = lease.clone();
        if let Some(spec) = wished.spec.as_mut() {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        *lease = match self.write(wished).await {
            Err(LeaseError::Lost { .. }) => self.adopt_foreign_edit().await?,
            other => other?,
        };
        let asked_at_ms = u64::try_from(asked_at.as_millis()).unwrap_or(u64::MAX);
        self.renewed_after_ms.fetch_max(asked_at_ms, Ordering::AcqRel);
        Ok(())
    }

    /// After a conflict: an edit by hand, or an own write whose reply was lost, is no loss.
    async fn adopt_foreign_edit(&self) -> Result<Lease, LeaseError> {
        let name = || self.settings.name.clone();
        let get = self.api.get(&self.settings.name);
        let lease = match tokio::time::timeout(self.settings.retry_period, get).await {
            Err(_) => return Err(LeaseError::Deadline { name: name() }),
            Ok(Err(e)) => return Err(LeaseError::Api { name: name(), source: Box::new(e) }),
            Ok(Ok(lease)) => lease,
        };
        if holder_of(&lease) != self.settings.identity
            || token_of(&lease) != self.token.load(Ordering::Acquire)
        {
            return Err(LeaseError::Lost { name: name(), holder: holder_of(&lease) });
        }
        Ok(lease)
    }

    /// Gives the Lease back, so that the next one does not have to wait.
    pub async fn release(&self) -> Result<(), LeaseError> {
        let mut lease = self.lease.lock().await;
        let mut wished = lease.clone();
        if let Some(spec) = wished.spec.as_mut() {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        *lease = self.write(wished).await?;
        Ok(())
    }

    async fn write(&self, wished: Lease) -> Result<Lease, LeaseError> {
        let name = || self.settings.name.clone();
        let params = PostParams::default();
        let write = self.api.replace(&self.settings.name, &params, &wished);
        match tokio::time::timeout(self.settings.retry_period, write).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                Err(LeaseError::Lost { name: name(), holder: "somebody else".to_owned() })
            }
            Ok(Err(e)) => Err(LeaseError::Api { name: name(), source: Box::new(e) }),
            Err(_) => Err(LeaseError::Deadline { name: name() }),
        }
    }
}

#[cfg(test)]
mod tests;
