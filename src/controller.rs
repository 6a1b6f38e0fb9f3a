//! The controller: who leads, what is watched, and when each cluster is looked at.
//!
//!   acquire the Lease -> watch -> a task for each cluster (`clusters.rs`) -> until the Lease is
//!   lost (start again as a candidate) or somebody asks us to stop (give the Lease back)
//!
//! Not known here: what is done about a cluster.

mod clusters;
mod lease;

pub use lease::{Leadership, LeaseError, LeaseSettings};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::act::Events;
use crate::link::Links;
use crate::metrics::{Metrics, http};
use crate::observe::watch::{Shelves, start};
use crate::validate::Defaults;
use crate::world::World;

/// What an operator without a pod's name calls itself.
const CONTROLLER: &str = "holdfast";

/// How long the return of the Lease may take when the operator stops.
const RELEASE_DEADLINE: Duration = Duration::from_secs(3);

/// Whose clusters are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// Everybody's.
    All,
    /// Those of these namespaces.
    These(Vec<String>),
}

/// What the operator is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose clusters are kept.
    pub namespaces: Namespaces,
    /// What objects may leave out.
    pub defaults: Defaults,
    /// By which Lease one operator leads.
    pub lease: LeaseSettings,
    /// Whether Node objects and their Leases may be read.
    pub node_access: bool,
    /// Where metrics are served; `None`: nowhere.
    pub http_address: Option<SocketAddr>,
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The address for metrics cannot be had.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A name for the candidate: the pod's, or one that nobody else has.
pub fn identity(pod_name: Option<String>) -> String {
    pod_name.filter(|name| !name.is_empty()).unwrap_or_else(|| {
        let mut bytes = [0; 8];
        // Without random bytes the process id still tells processes of one machine apart.
        if getrandom::fill(&mut bytes).is_err() {
            bytes = u64::from(std::process::id()).to_be_bytes();
        }
        format!("{CONTROLLER}-{:016x}", u64::from_be_bytes(bytes))
    })
}

/// Runs the operator until `stopped` turns true.
///
/// # Errors
/// When it cannot start. Once it runs, it mends what can be mended and goes on.
pub async fn run(
    client: Client,
    options: Options,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), ControllerError> {
    let metrics = Arc::new(Metrics::default());
    let mut tasks = JoinSet::new();
    if let Some(address) = options.http_address {
        let listener = http::listen(address)
            .await
            .map_err(|source| ControllerError::Listen { address, source })?;
        tasks.spawn(http::serve(listener, Arc::clone(&metrics)));
    }
    while !*stopped.borrow() {
        let leadership = tokio::select! {
            leadership = lease::acquire(&client, &options.lease) => Arc::new(leadership),
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        tracing::info!(identity = options.lease.identity, "This operator leads.");
        metrics.leader.set(1);
        let ended = tokio::select! {
            why = leadership.keep() => Some(why),
            () = lead(&client, &options, &metrics, &leadership) => None,
            _ = stopped.wait_for(|stop| *stop) => None,
        };
        metrics.leader.set(0);
        match ended {
            Some(why) => tracing::warn!(error = %why, "This operator no longer leads."),
            None => give_back(&leadership).await,
        }
    }
    tracing::info!("The operator has stopped.");
    Ok(())
}

async fn give_back(leadership: &Leadership) {
    match tokio::time::timeout(RELEASE_DEADLINE, leadership.release()).await {
        Ok(Ok(())) => tracing::info!("The Lease was given back."),
        Ok(Err(e)) => tracing::warn!(error = %e, "The Lease could not be given back."),
        Err(_) => tracing::warn!("The Lease could not be given back in time."),
    }
}

/// Watches and reconciles; everything that it started ends with it.
async fn lead(
    client: &Client,
    options: &Options,
    metrics: &Arc<Metrics>,
    leadership: &Arc<Leadership>,
) {
    let shelves = Arc::new(Shelves::default());
    let (wake, woken) = mpsc::unbounded_channel();
    let mut watches = JoinSet::new();
    let namespaces = match &options.namespaces {
        Namespaces::All => vec![None],
        Namespaces::These(names) => names.iter().map(|name| Some(name.as_str())).collect(),
    };
    let mut complete = Vec::new();
    for namespace in namespaces {
        complete.extend(start(client, namespace, &shelves, &wake, &mut watches));
    }
    for mut list in complete {
        // A watch that ends takes its sender with it; the operator then starts to lead anew.
        if list.wait_for(|complete| *complete).await.is_err() {
            return;
        }
    }
    let world = Arc::new(World {
        client: client.clone(),
        shelves,
        links: Arc::new(Links::new(wake.clone())),
        leadership: Arc::clone(leadership),
        defaults: options.defaults.clone(),
        node_access: options.node_access,
        events: Events::new(options.lease.identity.clone()),
        metrics: Arc::clone(metrics),
        wake,
    });
    tokio::select! {
        () = clusters::keep_all(&world, woken) => {}
        _ = watches.join_next() => {
            tracing::error!("A watch has ended, which it never should; starting anew.");
        }
    }
}
