//! What a node wants from its shell after an event.
//!
//! Every field may be empty. The shell carries them out in the order of the fields: persist
//! first, then links, then messages. Not known here: how.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use holdfast_wire::id::NodeId;
use holdfast_wire::slot::SlotSet;

use crate::command::Reply;
use crate::event::{LinkId, Millis, Ticket, Token};
use crate::route::SlotMap;

/// What to do now.
#[derive(Debug, Default)]
pub struct Ready {
    /// Write this text as nodes.conf, durably (fsync, rename, fsync of the directory).
    pub persist: Option<Persist>,
    /// Open these connections.
    pub connect: Vec<Connect>,
    /// Close these connections; no `Closed` follows. What was queued before may be sent first.
    pub close: Vec<LinkId>,
    /// Send these frames.
    pub send: Vec<Send>,
    /// Resolve these names off the thread; `Event::Resolved` answers each.
    pub resolve: Vec<Resolve>,
    /// Come back with `Event::Tick` at this moment at the latest.
    pub wake_at: Millis,
    /// The routing changed; publish it to the cores.
    pub routing: Option<Arc<SlotMap>>,
    /// The role changed, or the primary's address did.
    pub role: Option<RoleChange>,
    /// Keys in these slots now belong to others and must be deleted here.
    pub drop_slots: Option<SlotSet>,
    /// Stop or allow writes.
    pub pause: Option<Pause>,
    /// Report `Event::Replication` at once when the applied offset reaches this.
    pub watch_offset: Option<u64>,
    /// Answers to commands.
    pub answers: Vec<Answer>,
    /// Messages that peers published, for local subscribers.
    pub published: Vec<Published>,
    /// The hand-over that `Event::Leave` asked for came to its end.
    pub hand_over: Option<HandOver>,
    /// CLUSTER RESET of a replica: delete all keys.
    pub flush_all: bool,
    /// Lines for the log.
    pub log: Vec<LogLine>,
}

/// A text to make durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persist {
    /// Number of the wish; `Event::Persisted` names it.
    pub ticket: Ticket,
    /// The whole file. A later one replaces an earlier one that is not yet written.
    pub text: String,
}

/// A frame to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Where to.
    pub link: LinkId,
    /// The whole frame; shared when it goes to many.
    pub frame: Arc<[u8]>,
    /// Hold it until this ticket is durable; drop it when its link closes before.
    pub after: Option<Ticket>,
}

/// A connection to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Its name.
    pub link: LinkId,
    /// Where to.
    pub address: SocketAddr,
    /// The host name that the node there announced; empty while none is known.
    pub hostname: String,
}

/// A name to resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// The node that announced it.
    pub node: NodeId,
    /// The name.
    pub hostname: String,
}

/// What this node is from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleChange {
    /// It follows nobody.
    Primary,
    /// It follows a primary.
    ReplicaOf {
        /// The primary.
        id: NodeId,
        /// Its address; none while it is unknown (a later change tells it).
        ip: Option<IpAddr>,
        /// Its client port.
        port: u16,
        /// The host name that it announced; empty for none.
        hostname: String,
    },
}

/// Writes stop or go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Take no write until `until`, let running ones end, then report `Event::WritesPaused`.
    Writes {
        /// When the pause ends by itself.
        until: Millis,
    },
    /// The pause is over.
    Resume,
}

/// An answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Whose.
    pub token: Token,
    /// The reply, or an error with its code word (`ERR ...`).
    pub result: Result<Reply, String>,
    /// Hold it until this ticket is durable; when that fails, answer an error.
    pub after: Option<Ticket>,
}

/// A message that a peer published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Channel.
    pub channel: Vec<u8>,
    /// Message.
    pub message: Vec<u8>,
    /// It came by SPUBLISH.
    pub sharded: bool,
}

/// How a hand-over ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// This node owns no slot any more (or never did): another one serves.
    Done,
    /// No replica could take over in time.
    Failed,
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How loud.
    pub level: LogLevel,
    /// A whole sentence.
    pub text: String,
}

/// Redis' log levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For those who debug the protocol.
    Debug,
    /// What happens often.
    Verbose,
    /// What an operator wants to know.
    Notice,
    /// What needs a look.
    Warning,
}
