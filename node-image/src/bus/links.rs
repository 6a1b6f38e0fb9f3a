//! The connections of the cluster bus.
//!
//! A link is one TCP connection; the [`LinkId`] says who opened it. Frames that may go only after
//! nodes.conf is durable are held here, beside the links, so that heartbeats on the same link are
//! not held up. Every buffer is bounded, and a link that does not keep to the bounds is closed.
//!
//! Not known here: what a frame says, and when a link is wanted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use holdfast_cluster::command::LinkLine;
use holdfast_cluster::{Connect, Event, LinkId, Node, Ticket};
use holdfast_wire::bus;

use super::stream::{Gone, Left, Stream};
use crate::config::Name;
use crate::shared::Shared;
use crate::tls::{Contexts, server_name};
use crate::transport::Socket;

/// Bytes that a peer may leave unread before its link is cut.
const UNREAD_MAX: usize = 48 * 1024 * 1024;

/// Bytes that may wait when a published message joins them. Messages are delivered at most once:
/// one that finds no room is lost, and the link, on which lives depend, keeps some to itself.
const UNREAD_WITH_MESSAGES_MAX: usize = 33 * 1024 * 1024;

/// A frame longer than this is not a frame: gossip about thousands of nodes fits, and so does the
/// longest message that a client may publish at the default limits.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What is longer is not taken from a stranger: who joins has little to say, and only members
/// publish. A heartbeat that speaks of thousands of nodes fits.
const STRANGER_FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of unfinished frames that all strangers together may have with us. One who wants to join
/// sends a frame at once, and it is short.
const STRANGERS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A stranger that has so little with us is never cut off because of the others.
const STRANGER_BYTES_FREE: usize = 64 * 1024;

/// Links that peers may have opened; more are closed at once.
const INBOUND_MAX: usize = 4096;

/// A link that is not known to come from a member after this time is cut off. A node that knows us
/// and that we have not heard of yet opens it anew.
const STRANGER_PATIENCE_MS: u64 = 10_000;

/// Sockets of links have tokens from here on; smaller ones are the bus thread's own.
pub(super) const FIRST_TOKEN: usize = 1 << 32;

struct Link {
    stream: Stream,
    token: Token,
    connecting: bool,
    opened_ms: u64,
    /// The cluster value says that a member is at the far side.
    is_of_member: bool,
}

/// All links, and the frames that wait for the disk.
pub(super) struct Links {
    registry: Registry,
    links: BTreeMap<LinkId, Link>,
    by_token: HashMap<Token, LinkId>,
    held: VecDeque<(Ticket, LinkId, Arc<[u8]>)>,
    unfinished: Vec<LinkId>,
    next_token: usize,
    next_inbound: u64,
    inbound: usize,
    source: Option<IpAddr>,
    shared: Arc<Shared>,
}

impl Links {
    /// `source`: the address that outbound links come from, when it is not the kernel's choice.
    pub(super) fn new(registry: Registry, source: Option<IpAddr>, shared: Arc<Shared>) -> Self {
        Self {
            registry,
            links: BTreeMap::new(),
            by_token: HashMap::new(),
            held: VecDeque::new(),
            unfinished: Vec::new(),
            next_token: FIRST_TOKEN,
            next_inbound: 0,
            inbound: 0,
            source,
            shared,
        }
    }

    /// Begins to open a link. What fails at once is told at once.
    pub(super) fn connect(&mut self, wish: Connect, now_ms: u64, events: &mut VecDeque<Event>) {
        let opened = open_socket(wish.address, self.source)
            .and_then(|socket| self.secure_opened(socket, &wish))
            .and_then(|socket| self.add(wish.link, socket, wish.address.ip(), true, now_ms));
        if let Err(error) = opened {
            let refused = error.kind() == io::ErrorKind::ConnectionRefused;
            events.push_back(Event::ConnectFailed { link: wish.link, refused });
        }
    }

    /// Takes in everybody who waits at the listener.
    pub(super) fn accept(
        &mut self,
        listener: &TcpListener,
        now_ms: u64,
        events: &mut VecDeque<Event>,
    ) {
        loop {
            let (socket, from) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::warn!("failed to accept a connection on the cluster bus: {error}");
                    return;
                }
            };
            if self.inbound >= INBOUND_MAX {
                continue;
            }
            let peer_ip = from.ip().to_canonical();
            let local_ip = socket.local_addr().map_or(peer_ip, |a| a.ip().to_canonical());
            let link = LinkId::inbound(self.next_inbound);
            self.next_inbound += 1;
            let socket = self.secure_accepted(socket);
            let added = socket.and_then(|socket| self.add(link, socket, peer_ip, false, now_ms));
            if added.is_ok() {
                events.push_back(Event::Accepted { link, peer_ip, local_ip });
            }
        }
    }

    /// The TLS contexts, where the bus speaks TLS.
    fn contexts(&self) -> io::Result<Option<Arc<Contexts>>> {
        if !self.shared.config.load().yes(Name::TlsCluster) {
            return Ok(None);
        }
        let contexts = self.shared.tls.contexts();
        contexts.map(Some).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn secure_opened(&self, socket: TcpStream, wish: &Connect) -> io::Result<Socket> {
        match self.contexts()? {
            None => Ok(Socket::Plain(socket)),
            Some(contexts) => {
                let name = server_name(&wish.hostname, wish.address.ip());
                Socket::opened(socket, Arc::clone(&contexts.client), name)
            }
        }
    }

    fn secure_accepted(&self, socket: TcpStream) -> io::Result<Socket> {
        match self.contexts()? {
            None => Ok(Socket::Plain(socket)),
            Some(contexts) => Socket::accepted(socket, Arc::clone(&contexts.bus)),
        }
    }

    fn add(
        &mut self,
        id: LinkId,
        mut socket: Socket,
        peer_ip: IpAddr,
        connecting: bool,
        now_ms: u64,
    ) -> io::Result<()> {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let stream = Stream::new(socket, peer_ip, UNREAD_MAX);
        self.by_token.insert(token, id);
        self.inbound += usize::from(id.is_inbound());
        let link = Link { stream, token, connecting, opened_ms: now_ms, is_of_member: false };
        self.links.insert(id, link);
        Ok(())
    }

    /// Closes a link without telling the value: it asked for that.
    pub(super) fn close(&mut self, id: LinkId) {
        if let Some(mut link) = self.links.remove(&id) {
            // Last words, such as a FAIL, may still go.
            let _ = link.stream.flush();
            self.by_token.remove(&link.token);
            self.inbound -= usize::from(id.is_inbound());
            let _ = self.registry.deregister(&mut link.stream.socket);
            self.held.retain(|(_, held, _)| *held != id);
        }
    }

    fn lose(&mut self, id: LinkId, gone: &Gone, events: &mut VecDeque<Event>) {
        let Some(connecting) = self.links.get(&id).map(|link| link.connecting) else { return };
        self.close(id);
        events.push_back(if connecting {
            Event::ConnectFailed { link: id, refused: gone.is_refused() }
        } else {
            Event::Closed { link: id, reset: gone.is_by_peer() }
        });
    }

    /// Completes a line of CLUSTER LINKS.
    pub(super) fn fill_in(&self, line: &mut LinkLine) {
        if let Some(link) = self.links.get(&line.link) {
            line.send_buffer_allocated = link.stream.outbox_allocated() as u64;
            line.send_buffer_used = link.stream.outbox_used() as u64;
            line.events = if link.stream.is_flushed() { "r" } else { "rw" };
        }
    }

    /// Sends a frame now, or once its ticket is durable.
    pub(super) fn send(
        &mut self,
        id: LinkId,
        frame: Arc<[u8]>,
        after: Option<Ticket>,
        durable: Ticket,
        events: &mut VecDeque<Event>,
    ) {
        match after {
            Some(ticket) if ticket > durable => self.held.push_back((ticket, id, frame)),
            _ => self.queue(id, &frame, events),
        }
    }

    /// Sends what waited for this ticket or one before it.
    pub(super) fn release(&mut self, durable: Ticket, events: &mut VecDeque<Event>) {
        let waiting = std::mem::take(&mut self.held);
        for (ticket, id, frame) in waiting {
            if ticket <= durable {
                self.queue(id, &frame, events);
            } else {
                self.held.push_back((ticket, id, frame));
            }
        }
    }

    fn queue(&mut self, id: LinkId, frame: &[u8], events: &mut VecDeque<Event>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let waiting = link.stream.outbox_used();
        if bus::is_published(frame) && waiting + frame.len() > UNREAD_WITH_MESSAGES_MAX {
            tracing::debug!("A message to {} was lost: it reads slowly.", link.stream.peer_ip);
            return;
        }
        let queued = link.stream.queue(frame);
        let sent = match queued {
            Ok(()) if link.connecting => Ok(()),
            Ok(()) => link.stream.flush(),
            Err(gone) => Err(gone),
        };
        if let Err(gone) = sent {
            tracing::debug!("A link to {} ended: {gone}.", link.stream.peer_ip);
            self.lose(id, &gone, events);
        }
    }

    /// The poll says that something happened at a socket.
    pub(super) fn on_socket(
        &mut self,
        token: Token,
        readable: bool,
        writable: bool,
        events: &mut VecDeque<Event>,
    ) {
        let Some(id) = self.by_token.get(&token).copied() else { return };
        if writable || readable {
            self.on_connected(id, events);
        }
        if writable
            && let Some(link) = self.links.get_mut(&id)
            && !link.connecting
            && let Err(gone) = link.stream.flush()
        {
            // What has arrived before the end is still worth reading.
            self.read(id, events);
            self.lose(id, &gone, events);
            return;
        }
        if readable {
            self.read(id, events);
        }
    }

    fn on_connected(&mut self, id: LinkId, events: &mut VecDeque<Event>) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.connecting) else { return };
        if let Some(gone) = link.stream.connect_error() {
            self.lose(id, &gone, events);
            return;
        }
        // A wake-up without an error and without a peer: the connect is still under way.
        if link.stream.socket.peer_addr().is_err() {
            return;
        }
        let Ok(local) = link.stream.socket.local_addr() else { return };
        link.connecting = false;
        events.push_back(Event::Connected { link: id, local_ip: local.ip().to_canonical() });
    }

    /// Takes note of who is at the far side, after a packet.
    pub(super) fn note_member(&mut self, id: LinkId, node: &Node) {
        if let Some(link) = self.links.get_mut(&id).filter(|link| !link.is_of_member) {
            link.is_of_member = node.is_of_member(id);
        }
    }

    fn read(&mut self, id: LinkId, events: &mut VecDeque<Event>) {
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.connecting) else { return };
        let left = link.stream.read();
        let is_of_member = link.is_of_member;
        let bytes_max = if is_of_member { FRAME_BYTES_MAX } else { STRANGER_FRAME_BYTES_MAX };
        let cut = cut_frames(&mut link.stream.inbox, id, bytes_max, events);
        let waiting = link.stream.inbox.len();
        // What came before the long frame may say that a member is there: judge in the next turn.
        let judged = cut.sane || (cut.frames > 0 && !is_of_member && left.is_ok());
        let greedy = !is_of_member && waiting > STRANGER_BYTES_FREE && self.strangers_are_greedy();
        if !judged || greedy {
            // The stream cannot be understood any more: there is no next frame to look for.
            let why =
                if greedy { "sends too much for a stranger" } else { "sent what is no frame" };
            if let Some(link) = self.links.get(&id) {
                tracing::debug!("A link to {} was closed: it {why}.", link.stream.peer_ip);
            }
            self.close(id);
            events.push_back(Event::Closed { link: id, reset: false });
            return;
        }
        match left {
            Ok(Left::Nothing) if cut.sane => {}
            Ok(_) => self.unfinished.push(id),
            Err(gone) => self.lose(id, &gone, events),
        }
    }

    /// True when what all strangers have begun to send is too much.
    fn strangers_are_greedy(&self) -> bool {
        let strangers = self.links.values().filter(|link| !link.is_of_member);
        strangers.map(|link| link.stream.inbox.len()).sum::<usize>() > STRANGERS_BYTES_MAX
    }

    /// True when some link has more to read without a new event.
    pub(super) fn has_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// Reads on where the last turn's share was used up.
    pub(super) fn read_unfinished(&mut self, events: &mut VecDeque<Event>) {
        for id in std::mem::take(&mut self.unfinished) {
            self.read(id, events);
        }
    }

    /// Cuts off those whose patience is over and who are no members.
    pub(super) fn drop_strangers(
        &mut self,
        now_ms: u64,
        node: &Node,
        events: &mut VecDeque<Event>,
    ) {
        let overdue: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(id, link)| id.is_inbound() && !link.is_of_member)
            .filter(|(_, link)| now_ms.saturating_sub(link.opened_ms) > STRANGER_PATIENCE_MS)
            .map(|(id, _)| *id)
            .collect();
        for id in overdue {
            // Who has asked to join may have become a member since it spoke.
            self.note_member(id, node);
            if self.links.get(&id).is_some_and(|link| !link.is_of_member) {
                self.close(id);
                events.push_back(Event::Closed { link: id, reset: false });
            }
        }
    }
}

struct Cut {
    frames: u64,
    sane: bool,
}

fn cut_frames(
    inbox: &mut Vec<u8>,
    link: LinkId,
    bytes_max: usize,
    events: &mut VecDeque<Event>,
) -> Cut {
    let (mut start, mut frames, mut sane) = (0, 0, true);
    loop {
        let rest = inbox.get(start..).unwrap_or_default();
        match bus::frame_len(rest) {
            Ok(Some(len)) if len == 0 || len > bytes_max => sane = false,
            Ok(Some(len)) => {
                if let Some(frame) = rest.get(..len) {
                    events.push_back(Event::Packet { link, frame: frame.to_vec() });
                    frames += 1;
                    start += len;
                    continue;
                }
            }
            Ok(None) => {}
            Err(_) => sane = false,
        }
        break;
    }
    inbox.drain(..start);
    if inbox.is_empty() {
        inbox.shrink_to(64 * 1024);
    }
    Cut { frames, sane }
}

/// A socket that is on its way to `address`.
fn open_socket(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    // A source that cannot reach the peer is worse than the kernel's choice.
    let source = source.filter(|ip| {
        ip.is_ipv4() == address.is_ipv4() && ip.is_loopback() == address.ip().is_loopback()
    });
    let Some(source) = source else { return TcpStream::connect(address) };
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}
