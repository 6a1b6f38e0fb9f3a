//! What the stages that touch the world share: the API server, the nodes, and in whose name.
//!
//! Not known here: what is looked at, and what is done.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use kube::Client;

use crate::act::Events;
use crate::controller::Leadership;
use crate::link::Links;
use crate::metrics::Metrics;
use crate::observe::watch::{ClusterKey, Shelves};
use crate::validate::Defaults;

/// Everything that the operator reaches the world through.
pub struct World {
    /// The API server.
    pub client: Client,
    /// What the watches have brought.
    pub shelves: Arc<Shelves>,
    /// Connections to nodes.
    pub links: Arc<Links>,
    /// The right to change anything, and the token that proves it.
    pub leadership: Arc<Leadership>,
    /// What objects may leave out.
    pub defaults: Defaults,
    /// Whether Node objects and their Leases may be read.
    pub node_access: bool,
    /// Events, and which of them were published lately.
    pub events: Events,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Clusters that shall be looked at now.
    pub wake: tokio::sync::mpsc::UnboundedSender<ClusterKey>,
}

/// Milliseconds since 1970 by this machine's clock.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
