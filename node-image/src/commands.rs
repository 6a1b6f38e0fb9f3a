//! What a command is, and what it is given when it runs.
//!
//! Each file below `commands/` exports `pub const COMMANDS: &[Command]`; [`table`] joins these
//! slices into the one table that routing, COMMAND, ACL categories and the docs read.
//!
//! A handler gets a [`Ctx`] and the whole request (`args[0]` is the command's name, for a
//! subcommand `args[1]` is the subcommand's). It reads and writes `ctx.core.store`, writes its
//! reply into `ctx.reply`, and gives `Ok(Outcome::Done)`. A client's mistake is an
//! `Err(CommandError)`: whatever was written to the reply is then cut off and the error is sent.
//!
//! **A handler that changed something says so twice**: what a replica must run
//! ([`Ctx::effect_verbatim`] or [`Ctx::effect`]), and which key it touched ([`Ctx::touched`], for
//! WATCH and for clients that block on the key). A handler that changed nothing says nothing.
//! Whoever listens to keyspace notifications hears of it by [`Ctx::notify`] (and, where the last
//! element of a collection may have gone, [`Ctx::notify_if_gone`]).
//!
//! Checked before a handler runs: arity, authentication, transaction state, keys in one slot,
//! slot served here, write on a replica, memory, disk errors. Not known here: sockets.

pub mod acl;
pub mod bitmap;
mod blocking_list;
pub mod client;
pub mod cluster;
pub mod cluster_reply;
pub mod command;
pub mod config;
pub mod connection;
pub mod debug;
pub mod digest;
pub mod expire;
pub mod function;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod holdfast;
pub mod hyperloglog;
pub mod info;
mod keyspace;
pub mod list;
mod memory;
pub mod migrate;
mod parse;
pub mod persistence;
pub mod pubsub;
pub mod replication;
mod sample;
pub mod scripting;
pub mod server;
pub mod set;
pub mod sorted_set;
pub mod spec;
pub mod stream;
pub mod string;
pub mod table;
pub mod transaction;

use std::borrow::Cow;

use holdfast_wire::resp::ReplyBuf;

use crate::clients::ClientId;
use crate::core::Core;
use crate::notify::EventClass;
pub use spec::{Categories, Command, Flags, Group, KeySpec, KeyUse};

/// A command's code.
pub type Execute = fn(&mut Ctx<'_>, &[&[u8]]) -> Result<Outcome, CommandError>;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The reply, if there is one, has been written.
    Done,
    /// Nothing to give yet: the command is run again when one of the keys is touched. Inside
    /// MULTI, a script, or a replicated stream it gets `timeout_reply` at once instead.
    Block(Block),
    /// Like [`Outcome::Block`], run again as this request: what it meant by words such as `$`
    /// may mean something else by then.
    BlockAs(Block, Vec<Vec<u8>>),
    /// Somebody else answers later, by [`crate::messages::ToCore::Answer`] or
    /// [`Core::answer`], with the token that [`Ctx::promise`] gave. The client's later requests
    /// wait for it, so that replies keep their order.
    Promised(AnswerToken),
}

/// What a blocked command waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Keys of the command's database.
    pub keys: Vec<Vec<u8>>,
    /// Unix time in milliseconds after which the client gets `timeout_reply`.
    pub deadline_ms: Option<i64>,
    /// What a client gets when the time is over.
    pub timeout_reply: TimeoutReply,
}

/// The reply of a blocked command whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutReply {
    /// No value.
    Null,
    /// No array.
    NullArray,
}

/// Names a reply that comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AnswerToken(pub u64);

/// Where a command comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client: everything is checked, effects go to the log.
    Client,
    /// The primary's replication stream: nothing is checked, the stream's own bytes go to the log
    /// (see [`Core::apply_replicated`]), so [`Ctx::effect`] does nothing.
    Primary,
    /// The append-only file at start: nothing is checked and nothing is logged.
    Load,
}

/// A client's mistake, or a refusal: the text of an error reply, its code first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError(pub Cow<'static, str>);

impl CommandError {
    /// The key holds another type.
    pub const WRONG_TYPE: Self =
        Self::new("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// Words that do not make sense together.
    pub const SYNTAX: Self = Self::new("ERR syntax error");
    /// Not a number, or one beyond 64 bits.
    pub const NOT_AN_INTEGER: Self = Self::new("ERR value is not an integer or out of range");
    /// Not a floating point number.
    pub const NOT_A_FLOAT: Self = Self::new("ERR value is not a valid float");
    /// RENAME, OBJECT, LSET on nothing.
    pub const NO_SUCH_KEY: Self = Self::new("ERR no such key");
    /// A list has no such place.
    pub const INDEX_OUT_OF_RANGE: Self = Self::new("ERR index out of range");

    /// An error with a fixed text.
    pub const fn new(text: &'static str) -> Self {
        CommandError(Cow::Borrowed(text))
    }

    /// An error with a text made for the occasion.
    pub fn text(text: impl Into<String>) -> Self {
        CommandError(Cow::Owned(text.into()))
    }

    /// `ERR wrong number of arguments for 'name' command`; a subcommand is `container|name`.
    pub fn wrong_arity(name: &str) -> Self {
        Self::text(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a handler works with.
pub struct Ctx<'a> {
    /// The core: store, clients, config, log.
    pub core: &'a mut Core,
    /// Where the reply goes.
    pub reply: &'a mut ReplyBuf,
    /// Who asks. For [`Origin::Primary`] and [`Origin::Load`] a client that has no socket.
    pub client: ClientId,
    /// The client's database when the command began.
    pub db: usize,
    /// Unix time in milliseconds, the same for a whole transaction.
    pub now_ms: i64,
    /// The table entry being run (for a subcommand: the subcommand's).
    pub command: &'static Command,
    /// The request, for [`Ctx::effect_verbatim`].
    pub args: &'a [&'a [u8]],
    /// Where the command comes from.
    pub origin: Origin,
    /// True inside EXEC.
    pub in_exec: bool,
    /// True when it waited for keys and is run again because one was touched.
    pub woken: bool,
}

impl Ctx<'_> {
    /// Replicas run this command as it was sent.
    pub fn effect_verbatim(&mut self) {
        let (core, args, db) = (&mut *self.core, self.args, self.db);
        core.record_effect(self.origin, db, args);
    }

    /// Replicas run `args` instead: what the command came to, with absolute times and without
    /// chance. May be called several times; the effects of one unit are wrapped in MULTI/EXEC.
    pub fn effect<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        self.core.record_effect(self.origin, self.db, args);
    }

    /// Like [`Ctx::effect`], in another database (MOVE, COPY DB).
    pub fn effect_in<A: AsRef<[u8]>>(&mut self, db: usize, args: &[A]) {
        self.core.record_effect(self.origin, db, args);
    }

    /// The key was written, deleted or expired: transactions that watch it fail, clients that
    /// block on it are looked at again once this unit of work is over.
    pub fn touched(&mut self, key: &[u8]) {
        self.core.touched(self.db, key);
    }

    /// Like [`Ctx::touched`], in another database.
    pub fn touched_in(&mut self, db: usize, key: &[u8]) {
        self.core.touched(db, key);
    }

    /// Tells who listens to keyspace notifications what happened to a key, with the event's name
    /// as Redis documents it; comes behind the change. See [`crate::notify`].
    pub fn notify(&mut self, class: EventClass, event: &str, key: &[u8]) {
        self.notify_in(self.db, class, event, key);
    }

    /// Like [`Ctx::notify`], in another database.
    pub fn notify_in(&mut self, db: usize, class: EventClass, event: &str, key: &[u8]) {
        if self.origin != Origin::Load {
            self.core.notify(db, class, event, key);
        }
    }

    /// The `del` event, when the change of a collection has taken the key with it.
    pub fn notify_if_gone(&mut self, key: &[u8]) {
        if self.core.events.wants(EventClass::Generic)
            && self.core.store.entry_bytes(self.db, key).is_none()
        {
            self.notify(EventClass::Generic, "del", key);
        }
    }

    /// How long the client's replies may grow before it is cut off: a handler whose reply has no
    /// other bound stops there.
    pub fn reply_bytes_max(&self) -> usize {
        match self.core.config.output_limit("normal") {
            (0, ..) => usize::MAX,
            (hard, ..) => hard,
        }
    }

    /// A token for an answer that somebody else gives later; use with [`Outcome::Promised`].
    pub fn promise(&mut self) -> AnswerToken {
        self.core.new_answer_token(self.client)
    }

    /// True when the client came by TLS.
    pub fn is_secured(&self) -> bool {
        self.core.clients.get(self.client).is_some_and(crate::clients::Client::is_secured)
    }

    /// True for a replica's own work (stream) and for loading: nothing expires by itself then.
    pub fn is_replay(&self) -> bool {
        self.origin != Origin::Client
    }
}
