//! The cluster protocol as a value: gossip, failure, election, epochs, who owns which slot.
//!
//! A [`Node`] takes an [`Event`] and the time and gives a [`Ready`]: what to persist, what to
//! send, when to wake it again. Time, randomness, disk and network are arguments, so that a whole
//! cluster runs in one thread, in virtual time, from a seed.
//!
//!   shell:  socket / timer / disk / core  --Event-->  Node::handle(now, event)  --Ready-->  shell
//!
//! The contract with the shell:
//! - **Links.** A link is one TCP connection on the bus. For outbound links the node draws the id
//!   and asks for it by [`Ready::connect`]; for inbound ones the shell does
//!   ([`LinkId::inbound`]). Ids are never used twice. Of each link there is at most one
//!   `Connected` or `ConnectFailed`, then packets, then `Closed` unless the node itself closed it.
//! - **Durability.** A message or an answer with a ticket waits until that ticket, or a later
//!   one, is `Persisted`. All others go at once. Order is kept among the messages of a link that
//!   do not wait; a message that waits may be overtaken.
//! - **Time.** `now` never goes back. It is milliseconds since the Unix epoch: read the wall
//!   clock once at the start and add the monotonic clock to it.
//!
//! Not known here: sockets, files, keys and values, how a command is parsed into RESP.

mod claims;
pub mod command;
pub mod config;
pub mod counters;
mod election;
pub mod event;
mod execute;
mod failure;
mod handshake;
#[cfg(test)]
mod harness;
mod health;
mod heartbeat;
mod inbox;
mod links;
mod manual_failover;
pub mod node;
pub mod nodes_conf;
mod ownership;
mod peer;
#[cfg(test)]
mod promises;
pub mod ready;
mod replica_migration;
mod rng;
pub mod route;
mod view;
mod votes;

pub use command::{ClusterCommand, FailoverKind, Reply, SlotChange};
pub use config::{Config, EndpointType, Ports};
pub use counters::{Counters, PacketCounters};
pub use event::{CommandFacts, Event, LinkId, Millis, ReplicationFacts, Ticket, Token};
pub use node::Node;
pub use ready::{
    Answer, Connect, HandOver, LogLevel, LogLine, Pause, Persist, Published, Ready, Resolve,
    RoleChange, Send,
};
pub use route::{Access, Down, Presence, Route, RoutedNode, SlotMap};
