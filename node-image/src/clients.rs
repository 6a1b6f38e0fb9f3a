//! Clients: who is connected, and what each connection remembers.
//!
//! Clients live in places of a slab; a [`ClientId`] names the place and the serial number of the
//! client that was put there, so that an id of a client that is gone finds nobody. Not known here:
//! reading, writing, commands.

use std::sync::Arc;

use holdfast_wire::resp::Protocol;
use holdfast_wire::resp::request::Parser;

use crate::acl::{self, User};
use crate::commands::{Block, Command, Flags};
use crate::output::Output;
use crate::pubsub::Subscriptions;
use crate::tracking::Tracking;
use crate::transport::Socket;

/// Names a client, also after it has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId {
    /// Place in the slab.
    pub place: usize,
    /// The id that CLIENT ID tells; never used twice.
    pub serial: u64,
}

/// What a client is to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientKind {
    /// An ordinary one.
    #[default]
    Normal,
    /// A replica of ours (after PSYNC).
    Replica,
    /// Stands for the primary whose stream is applied; has no socket of its own.
    Primary,
    /// Stands for the file that is being loaded; has no socket.
    Loader,
}

impl ClientKind {
    /// True for those that nobody has connected: they stand for what this node does itself, and
    /// are neither checked nor redirected.
    pub fn is_own(self) -> bool {
        matches!(self, ClientKind::Primary | ClientKind::Loader)
    }
}

/// CLIENT REPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// Replies are sent.
    #[default]
    On,
    /// No replies.
    Off,
    /// The next request gets no reply.
    SkipNext,
}

/// A transaction that is being put together.
#[derive(Debug, Default)]
pub struct Multi {
    /// Requests so far.
    pub queued: Vec<(&'static Command, Vec<Vec<u8>>)>,
    /// A request was refused: EXEC fails.
    pub aborted: bool,
    /// What they cost.
    pub bytes: usize,
    /// Flags that at least one queued command has.
    pub some_have: u32,
    /// Flags that at least one queued command lacks.
    pub some_lack: u32,
}

impl Multi {
    /// Adds a request.
    pub fn push(&mut self, command: &'static Command, args: Vec<Vec<u8>>) {
        let words: usize = args.iter().map(|arg| arg.len() + std::mem::size_of::<Vec<u8>>()).sum();
        self.bytes += words;
        self.some_have |= command.flags.0;
        self.some_lack |= !command.flags.0;
        self.queued.push((command, args));
    }

    /// True when a queued command may write.
    pub fn writes(&self) -> bool {
        self.some_have & Flags::WRITE.0 != 0
    }
}

/// A command that waits for keys.
#[derive(Debug)]
pub struct Blocked {
    /// What for.
    pub block: Block,
    /// Its database.
    pub db: usize,
    /// The command, to run it again.
    pub command: &'static Command,
    /// Its request.
    pub args: Vec<Vec<u8>>,
}

/// One client.
#[derive(Debug)]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// What it is.
    pub kind: ClientKind,
    /// Its socket; none for the two that only stand for something.
    pub socket: Option<Socket>,
    /// Remote address as text.
    pub address: String,
    /// Local address as text.
    pub local_address: String,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub lib_version: Vec<u8>,
    /// SELECTed database.
    pub db: usize,
    /// Dialect of replies.
    pub protocol: Protocol,
    /// Whose rights count.
    pub user: Arc<User>,
    /// May run commands.
    pub authenticated: bool,
    /// Bytes read and not yet understood begin at `input_start`.
    pub input: Vec<u8>,
    /// See `input`.
    pub input_start: usize,
    /// Bytes of `input` while it is being run and lies elsewhere.
    pub running_bytes: usize,
    /// Reads requests.
    pub parser: Parser,
    /// Replies on their way out.
    pub output: Output,
    /// The transaction being put together.
    pub multi: Option<Multi>,
    /// WATCHed keys.
    pub watching: Vec<(usize, Vec<u8>)>,
    /// A watched key was touched: EXEC gives nothing.
    pub watch_failed: bool,
    /// How it tracks what it reads.
    pub tracking: Option<Box<Tracking>>,
    /// What it listens to.
    pub subscriptions: Subscriptions,
    /// The command that waits for keys.
    pub blocked: Option<Box<Blocked>>,
    /// Replies that were promised and have not come.
    pub promised: usize,
    /// Requests wait for CLIENT UNPAUSE.
    pub paused: bool,
    /// ASKING was the last command.
    pub asking: bool,
    /// READONLY is on.
    pub readonly: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// Unix time of the connection.
    pub created_ms: i64,
    /// Unix time of the last request.
    pub active_ms: i64,
    /// The last command.
    pub last_command: Option<&'static Command>,
    /// Bytes read in all.
    pub read_bytes: u64,
    /// Bytes written in all.
    pub written_bytes: u64,
    /// Nothing more is read; the connection ends when the output has gone.
    pub close_after_reply: bool,
    /// The connection ends at the end of this turn.
    pub close_now: bool,
    /// Requests wait until replies have been read.
    pub held_back: bool,
    /// Sends nothing more, and waits for the replies.
    pub half_closed: bool,
    /// Is on the core's list of clients that have output.
    pub flush_queued: bool,
    /// What it cost when it was last counted.
    pub counted_bytes: usize,
    /// Since when the output is over the soft limit.
    pub soft_limit_since_ms: Option<i64>,
}

impl Client {
    /// A client that has just come.
    pub fn new(id: ClientId, kind: ClientKind, socket: Option<Socket>, now_ms: i64) -> Self {
        Client {
            id,
            kind,
            socket,
            address: String::new(),
            local_address: String::new(),
            name: Vec::new(),
            lib_name: Vec::new(),
            lib_version: Vec::new(),
            db: 0,
            protocol: Protocol::Resp2,
            user: acl::anybody(),
            authenticated: false,
            input: Vec::new(),
            input_start: 0,
            running_bytes: 0,
            parser: Parser::new(),
            output: Output::default(),
            multi: None,
            watching: Vec::new(),
            watch_failed: false,
            tracking: None,
            subscriptions: Subscriptions::default(),
            blocked: None,
            promised: 0,
            paused: false,
            asking: false,
            readonly: false,
            reply_mode: ReplyMode::On,
            no_evict: false,
            no_touch: false,
            created_ms: now_ms,
            active_ms: now_ms,
            last_command: None,
            read_bytes: 0,
            written_bytes: 0,
            close_after_reply: false,
            close_now: false,
            held_back: false,
            half_closed: false,
            flush_queued: false,
            counted_bytes: 0,
            soft_limit_since_ms: None,
        }
    }

    /// True when it came by TLS.
    pub fn is_secured(&self) -> bool {
        matches!(self.socket, Some(Socket::Secured(_)))
    }

    /// True while requests that have arrived must wait.
    pub fn is_waiting(&self) -> bool {
        self.blocked.is_some() || self.promised > 0 || self.paused
    }
}

/// All clients.
#[derive(Debug, Default)]
pub struct Clients {
    places: Vec<Option<Box<Client>>>,
    free: Vec<usize>,
    next_serial: u64,
    connected: usize,
    /// Sum of what all of them cost when they were last counted.
    pub counted_bytes: usize,
}

impl Clients {
    /// Puts in a client and gives its id.
    pub fn add(&mut self, kind: ClientKind, socket: Option<Socket>, now_ms: i64) -> ClientId {
        self.next_serial += 1;
        let place = self.free.pop().unwrap_or(self.places.len());
        let id = ClientId { place, serial: self.next_serial };
        if socket.is_some() {
            self.connected += 1;
        }
        let client = Some(Box::new(Client::new(id, kind, socket, now_ms)));
        match self.places.get_mut(place) {
            Some(empty) => *empty = client,
            None => self.places.push(client),
        }
        id
    }

    /// Gives a client its socket.
    pub fn attach(&mut self, id: ClientId, socket: Socket) {
        if let Some(client) = self.get_mut(id)
            && client.socket.replace(socket).is_none()
        {
            self.connected += 1;
        }
    }

    /// Takes a client out.
    pub fn remove(&mut self, id: ClientId) -> Option<Box<Client>> {
        self.get(id)?;
        let client = self.places.get_mut(id.place)?.take()?;
        self.free.push(id.place);
        self.counted_bytes -= client.counted_bytes;
        if client.socket.is_some() {
            self.connected -= 1;
        }
        Some(client)
    }

    /// The client, when it is still here.
    pub fn get(&self, id: ClientId) -> Option<&Client> {
        let client = self.places.get(id.place)?.as_deref()?;
        (client.id == id).then_some(client)
    }

    /// The client, to change it.
    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        let client = self.places.get_mut(id.place)?.as_deref_mut()?;
        (client.id == id).then_some(client)
    }

    /// Id of the client at a place of the slab, as an event of the poll names it.
    pub fn at(&self, place: usize) -> Option<ClientId> {
        self.places.get(place)?.as_ref().map(|client| client.id)
    }

    /// Id of the client with that serial number.
    pub fn by_serial(&self, serial: u64) -> Option<ClientId> {
        self.iter().find(|client| client.id.serial == serial).map(|client| client.id)
    }

    /// All clients with a socket.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.places.iter().filter_map(Option::as_deref).filter(|client| client.socket.is_some())
    }

    /// All clients with a socket, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        let all = self.places.iter_mut().filter_map(Option::as_deref_mut);
        all.filter(|client| client.socket.is_some())
    }

    /// Number of clients with a socket.
    pub fn len(&self) -> usize {
        self.connected
    }

    /// True when nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.connected == 0
    }
}
