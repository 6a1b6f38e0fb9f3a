//! The control port: RESP connections of the operator, served by the bus thread.
//!
//! It answers whatever the cores do, because no core is needed for it. There is one internal user,
//! `holdfast`; nothing but AUTH is understood before that. A connection that has named a fencing
//! token keeps it, and an order that changes something is refused on a connection whose token is
//! lower than the highest one that this node has seen: a leader that has been replaced and does
//! not know it can look, but not touch. A token is durable before it is answered, so that the next
//! life of the node refuses lower ones, too.
//!
//! Requests of one connection are carried out one after the other; the next is read when the last
//! is answered. Not known here: what the orders do (`bus/orders.rs`).

pub mod order;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use holdfast_wire::resp::request::{Limits, Parser, Step};
use holdfast_wire::resp::{Protocol, ReplyBuf};

use crate::bus::stream::{Left, Stream};
use crate::config::file::read_secret;
use crate::messages::WriteReply;
use order::{Order, Said};

/// Bytes of answers that the operator may leave unread.
const UNREAD_MAX: usize = 64 * 1024 * 1024;

/// Bytes of one argument.
const ARGUMENT_BYTES_MAX: usize = 1024 * 1024;

/// Connections at the same time.
const CONNECTIONS_MAX: usize = 256;

/// Bytes that a connection may have sent before it is authenticated.
const STRANGER_BYTES_MAX: usize = 16 * 1024;

/// A connection that has not authenticated within this time is cut.
const STRANGER_PATIENCE_MS: u64 = 10_000;

/// Bytes that may wait unread in our own buffer while an order runs.
const INBOX_BYTES_MAX: usize = 4 * ARGUMENT_BYTES_MAX;

/// Tokens of control connections: above those of links.
const FIRST_TOKEN: usize = 1 << 48;

struct Connection {
    stream: Stream,
    token: Token,
    parser: Parser,
    protocol: Protocol,
    authenticated: bool,
    fence: u64,
    /// The token that is to be durable before the answer.
    fencing: Option<u64>,
    /// An order runs; its answer comes before anything else is read.
    busy: bool,
    /// The connection ends when its last answer has gone.
    ending: bool,
    opened_ms: u64,
}

/// All connections, and the highest token seen on any.
pub(crate) struct Controls {
    connections: BTreeMap<u64, Connection>,
    by_token: HashMap<Token, u64>,
    next: u64,
    password_file: PathBuf,
    password: String,
    fence: u64,
    /// The highest token that is on disk.
    durable_fence: u64,
}

impl Controls {
    /// `password_file` is read again when a password is wrong, so that it can be changed while
    /// the node runs.
    pub(crate) fn new(password_file: PathBuf, fence: u64) -> std::io::Result<Self> {
        let password = if password_file.as_os_str().is_empty() {
            String::new()
        } else {
            read_secret(&password_file)?
        };
        let (connections, by_token) = (BTreeMap::new(), HashMap::new());
        Ok(Self {
            connections,
            by_token,
            next: 0,
            password_file,
            password,
            fence,
            durable_fence: fence,
        })
    }

    /// The highest fencing token seen.
    pub(crate) fn fence(&self) -> u64 {
        self.fence
    }

    /// True when the token of the poll belongs to a connection of this port.
    pub(crate) fn owns(&self, token: Token) -> bool {
        token.0 >= FIRST_TOKEN
    }

    /// Takes in everybody who waits at the listener.
    pub(crate) fn accept(&mut self, listener: &TcpListener, registry: &Registry, now_ms: u64) {
        loop {
            match listener.accept() {
                Ok((socket, from)) => {
                    if self.connections.len() < CONNECTIONS_MAX
                        && let Err(error) = self.add(socket, from.ip(), registry, now_ms)
                    {
                        tracing::warn!("failed to take in a control connection: {error}");
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::warn!("failed to accept on the control port: {error}");
                    return;
                }
            }
        }
    }

    fn add(
        &mut self,
        mut socket: TcpStream,
        from: std::net::IpAddr,
        registry: &Registry,
        now_ms: u64,
    ) -> std::io::Result<()> {
        let number = self.next;
        self.next += 1;
        let token = Token(FIRST_TOKEN + number as usize);
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.by_token.insert(token, number);
        let connection = Connection {
            stream: Stream::new(socket.into(), from, UNREAD_MAX),
            token,
            parser: Parser::new(),
            protocol: Protocol::Resp2,
            authenticated: false,
            fence: 0,
            fencing: None,
            busy: false,
            ending: false,
            opened_ms: now_ms,
        };
        self.connections.insert(number, connection);
        Ok(())
    }

    fn close(&mut self, number: u64) {
        // Dropping the socket takes it out of the poll.
        if let Some(connection) = self.connections.remove(&number) {
            self.by_token.remove(&connection.token);
        }
    }

    /// Cuts those that connected and did not authenticate.
    pub(crate) fn drop_strangers(&mut self, now_ms: u64) {
        let late = |c: &Connection| {
            !c.authenticated && now_ms.saturating_sub(c.opened_ms) > STRANGER_PATIENCE_MS
        };
        let strangers: Vec<u64> =
            self.connections.iter().filter(|(_, c)| late(c)).map(|(n, _)| *n).collect();
        for number in strangers {
            self.close(number);
        }
    }

    /// Something happened at a socket. Gives the connection's number when it may have an order.
    pub(crate) fn on_socket(
        &mut self,
        token: Token,
        readable: bool,
        writable: bool,
    ) -> Option<u64> {
        let number = *self.by_token.get(&token)?;
        let connection = self.connections.get_mut(&number)?;
        if writable && connection.stream.flush().is_err() {
            self.close(number);
            return None;
        }
        if writable && connection.ending && connection.stream.is_flushed() {
            self.close(number);
            return None;
        }
        if readable { self.read(number) } else { None }
    }

    /// Reads what there is. A peer that has closed gets no more answers.
    fn read(&mut self, number: u64) -> Option<u64> {
        let connection = self.connections.get_mut(&number)?;
        let limit = if connection.authenticated { INBOX_BYTES_MAX } else { STRANGER_BYTES_MAX };
        loop {
            let left = connection.stream.read();
            if left.is_err() || connection.stream.inbox.len() > limit {
                self.close(number);
                return None;
            }
            if matches!(left, Ok(Left::Nothing)) {
                return Some(number);
            }
        }
    }

    /// The next order of a connection that is not busy. AUTH, FENCE and what is refused are
    /// answered on the way.
    pub(crate) fn next_order(&mut self, number: u64) -> Option<Order> {
        loop {
            let connection = self.connections.get_mut(&number)?;
            if connection.busy || connection.ending {
                return None;
            }
            let request = match connection.next_request() {
                Ok(request) => request?,
                Err(text) => {
                    connection.ending = true;
                    self.answer(number, Err(format!("ERR {text}")));
                    return None;
                }
            };
            if request.is_empty() {
                continue;
            }
            let words: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
            match self.understand(number, &words) {
                Ok(Some(order)) => {
                    let connection = self.connections.get_mut(&number)?;
                    connection.busy = true;
                    if let Order::Fence(token) = order {
                        connection.fencing = Some(token);
                    }
                    return Some(order);
                }
                Ok(None) => self.answer(number, Ok(Box::new(ReplyBuf::ok))),
                Err(text) => self.answer(number, Err(text)),
            }
        }
    }

    /// `Ok(None)`: done here, answer OK.
    fn understand(&mut self, number: u64, words: &[&[u8]]) -> Result<Option<Order>, String> {
        let said = order::parse(words)?;
        let authenticated = self.connections.get(&number).is_some_and(|c| c.authenticated);
        if !authenticated && !matches!(said, Said::Auth { .. }) {
            return Err("NOAUTH Authentication required.".to_owned());
        }
        match said {
            Said::Auth { user, password } => self.authenticate(number, user, password),
            Said::Fence(token) => self.take_fence(number, token),
            Said::Order(order) => {
                let fence = self.connections.get(&number).map_or(0, |c| c.fence);
                if order.changes_something() && fence < self.fence {
                    return Err(self.fenced());
                }
                Ok(Some(order))
            }
        }
    }

    fn authenticate(
        &mut self,
        number: u64,
        user: &[u8],
        password: &[u8],
    ) -> Result<Option<Order>, String> {
        let mut right = same(password, self.password.as_bytes());
        if !right && !self.password_file.as_os_str().is_empty() {
            // The secret may have been changed under us; the mounted file is in memory.
            if let Ok(newest) = read_secret(&self.password_file) {
                self.password = newest;
                right = same(password, self.password.as_bytes());
            }
        }
        if !right || user != b"holdfast" || self.password.is_empty() {
            return Err("WRONGPASS invalid username-password pair or user is disabled.".to_owned());
        }
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.authenticated = true;
        }
        Ok(None)
    }

    fn take_fence(&mut self, number: u64, token: u64) -> Result<Option<Order>, String> {
        if token < self.fence {
            return Err(self.fenced());
        }
        // It counts from now on, for others as well.
        self.fence = token;
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.fence = token;
        }
        Ok((token > self.durable_fence).then_some(Order::Fence(token)))
    }

    /// The disk thread has written a token, or could not: answers those who wait for it, and gives
    /// the numbers of those connections. One whose token is not durable has none.
    pub(crate) fn fenced_up_to(&mut self, token: u64, durable: bool) -> Vec<u64> {
        if durable {
            self.durable_fence = self.durable_fence.max(token);
        }
        let waits = |c: &Connection| c.fencing.is_some_and(|wanted| wanted <= token);
        let waiting: Vec<u64> =
            self.connections.iter().filter(|(_, c)| waits(c)).map(|(n, _)| *n).collect();
        for number in &waiting {
            if let Some(connection) = self.connections.get_mut(number) {
                connection.fencing = None;
                connection.fence = if durable { connection.fence } else { 0 };
            }
            let refused = "ERR the fencing token could not be written to disk".to_owned();
            let ok: WriteReply = Box::new(ReplyBuf::ok);
            self.answer(*number, if durable { Ok(ok) } else { Err(refused) });
        }
        waiting
    }

    fn fenced(&self) -> String {
        format!("FENCED a higher token {} was seen", self.fence)
    }

    /// Sends the answer to a connection's order, after which it may go on.
    pub(crate) fn answer(&mut self, number: u64, reply: Result<WriteReply, String>) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let mut out = ReplyBuf::new(connection.protocol);
        match reply {
            Ok(write) => write(&mut out),
            Err(text) => out.error(&text),
        }
        connection.busy = false;
        let sent = connection.stream.queue(out.as_bytes()).and_then(|()| connection.stream.flush());
        if sent.is_err() || (connection.ending && connection.stream.is_flushed()) {
            self.close(number);
        }
    }
}

impl Connection {
    fn next_request(&mut self) -> Result<Option<Vec<Vec<u8>>>, String> {
        let limits = if self.authenticated {
            Limits::authenticated(ARGUMENT_BYTES_MAX)
        } else {
            Limits::UNAUTHENTICATED
        };
        let inbox = &mut self.stream.inbox;
        let (request, end) = match self.parser.next(inbox, 0, &limits) {
            Err(error) => return Err(error.to_string()),
            Ok(Step::Incomplete) => return Ok(None),
            Ok(Step::Inline { words, end }) => (words, end),
            Ok(Step::Request { end }) => {
                let word = |range: &std::ops::Range<usize>| {
                    inbox.get(range.clone()).unwrap_or_default().to_vec()
                };
                (self.parser.args().iter().map(word).collect(), end)
            }
        };
        inbox.drain(..end.min(inbox.len()));
        Ok(Some(request))
    }
}

/// Compares without telling by its time where the first difference is.
fn same(given: &[u8], right: &[u8]) -> bool {
    let mut difference = given.len() ^ right.len();
    for (n, byte) in given.iter().enumerate() {
        let other = right.get(n % right.len().max(1)).copied().unwrap_or(0);
        difference |= usize::from(byte ^ other);
    }
    difference == 0
}
