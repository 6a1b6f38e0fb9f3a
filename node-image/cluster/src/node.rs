//! The node: the value that takes events and gives [`Ready`].
//!
//! Not known here: anything about the world but what events tell.

use holdfast_wire::id::NodeId;

use crate::config::Config;
use crate::event::{Event, Millis};
use crate::nodes_conf;
use crate::ready::Ready;

/// One member of a cluster.
#[derive(Debug)]
pub struct Node {
    config: Config,
    id: NodeId,
}

impl Node {
    /// A node with the identity and the view of a saved nodes.conf, or a new one without. The
    /// seed feeds all randomness, a new node's id included: take it from the OS.
    ///
    /// # Errors
    /// The text is not a nodes.conf; the error names the line.
    pub fn new(
        config: Config,
        nodes_conf: Option<&str>,
        seed: [u8; 32],
    ) -> Result<Self, nodes_conf::Error> {
        let _ = (nodes_conf, seed);
        Ok(Self { config, id: NodeId::default() })
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes an event and tells what follows from it.
    pub fn handle(&mut self, now: Millis, event: Event) -> Ready {
        let _ = event;
        Ready { wake_at: now.plus(100), ..Ready::default() }
    }
}
