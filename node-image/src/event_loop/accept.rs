//! Listening and accepting.
//!
//! Not known here: what a client says, but for the one line with which it may be sent away.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};
use socket2::{Domain, SockRef, TcpKeepalive, Type};

use super::{CLIENT_TOKENS, EventLoop, LISTENERS};
use crate::clients::ClientKind;
use crate::config::{Config, Name};
use crate::core::Core;
use crate::transport::Socket;

/// Connections that one turn accepts, so that a flood does not stop those who are here.
const ACCEPTS_MAX: usize = 1000;

/// A port that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("Could not create server TCP listening socket {address}: bind: {source}")]
pub struct ListenError {
    address: String,
    source: io::Error,
}

/// The addresses of `bind`: an address, whether it is optional.
fn bind_addresses(config: &Config) -> Vec<(IpAddr, bool)> {
    let mut all = Vec::new();
    for word in config.text(Name::Bind).split_whitespace() {
        let optional = word.starts_with('-');
        let word = word.trim_start_matches('-');
        let address = match word {
            "*" => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            "::*" => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            word => word.parse().ok().or_else(|| resolve(word)),
        };
        match address {
            Some(address) => all.push((address, optional)),
            None => tracing::warn!("`bind` names {word}, which is no address"),
        }
    }
    if all.is_empty() {
        all.push((IpAddr::V4(Ipv4Addr::UNSPECIFIED), false));
    }
    all
}

fn resolve(name: &str) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    (name, 0).to_socket_addrs().ok()?.next().map(|address| address.ip())
}

/// Opens the sockets that the configuration names, for the client port.
pub fn listen(config: &Config) -> Result<Vec<TcpListener>, ListenError> {
    listen_at(config, config.int(Name::Port) as u16)
}

/// Opens the sockets of `tls-port`.
pub fn listen_secured(config: &Config) -> Result<Vec<TcpListener>, ListenError> {
    listen_at(config, config.int(Name::TlsPort) as u16)
}

/// Opens sockets at the addresses of `bind`, for any port; none for port 0.
pub fn listen_at(config: &Config, port: u16) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::new();
    if port == 0 {
        return Ok(listeners);
    }
    let backlog = config.int(Name::TcpBacklog).max(1) as i32;
    for (ip, optional) in bind_addresses(config) {
        let address = SocketAddr::new(ip, port);
        match listen_on(address, backlog) {
            Ok(listener) => listeners.push(listener),
            Err(error) if optional && is_missing(&error) => {}
            Err(source) => {
                return Err(ListenError { address: format!("{ip}:{port}"), source });
            }
        }
    }
    Ok(listeners)
}

/// The machine has no such address or protocol.
fn is_missing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let missing = [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT];
    Errno::from_io_error(error).is_some_and(|errno| missing.contains(&errno))
}

fn listen_on(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = socket2::Socket::new(domain, Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(TcpListener::from_std(socket.into()))
}

impl EventLoop {
    /// Takes listeners; connections are accepted from the next turn on. `secured`: by TLS.
    pub fn serve(
        &mut self,
        core: &mut Core,
        listeners: Vec<TcpListener>,
        secured: bool,
    ) -> io::Result<()> {
        for mut listener in listeners {
            let token = Token(LISTENERS.start + core.listeners.len());
            core.registry.register(&mut listener, token, Interest::READABLE)?;
            core.listeners.push((listener, secured));
        }
        self.to_accept = true;
        Ok(())
    }

    /// Accepts nobody any more.
    pub fn stop_listening(&mut self, core: &mut Core) {
        for (mut listener, _) in std::mem::take(&mut core.listeners) {
            if let Err(error) = core.registry.deregister(&mut listener) {
                tracing::debug!("failed to stop listening: {error}");
            }
        }
    }

    pub(super) fn accept_all(&mut self, core: &mut Core) {
        self.to_accept |= accept_some(core);
    }
}

/// Accepts who has come, up to a number for one turn; true when there may be more.
pub(super) fn accept_some(core: &mut Core) -> bool {
    let mut accepted = Vec::new();
    let mut more = false;
    for (listener, secured) in &core.listeners {
        loop {
            if accepted.len() >= ACCEPTS_MAX {
                more = true;
                break;
            }
            match listener.accept() {
                Ok((socket, address)) => accepted.push((socket, address, *secured)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // Out of file descriptors, mostly: the connections stay in the kernel's
                    // queue, and the tick looks again.
                    tracing::warn!("Accepting client connection: {error}");
                    break;
                }
            }
        }
    }
    for (socket, address, secured) in accepted {
        if let Some(socket) = secure(core, socket, secured) {
            welcome(core, socket, address);
        }
    }
    more
}

/// Sends a client away with one line.
fn send_away(mut socket: Socket, line: &str) {
    if matches!(socket, Socket::Secured(_)) {
        // A secured client has not even said hello; it sees the connection end.
        return;
    }
    // One short line into an empty socket buffer; if it does not fit, it is not worth waiting for.
    if let Err(error) = socket.write_all(line.as_bytes()) {
        tracing::debug!("failed to tell a client why it is sent away: {error}");
    }
}

/// A connection as its port speaks; none when it cannot be secured.
fn secure(core: &Core, socket: TcpStream, secured: bool) -> Option<Socket> {
    set_options(&core.config, &socket);
    if !secured {
        return Some(Socket::Plain(socket));
    }
    let contexts = core.shared.tls.contexts()?;
    match Socket::accepted(socket, Arc::clone(&contexts.server)) {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!("failed to begin a TLS session: {error}");
            None
        }
    }
}

fn welcome(core: &mut Core, mut socket: Socket, address: SocketAddr) {
    let stats = &core.shared.stats;
    stats.connections.add(1);
    if core.clients.len() >= core.config.size(Name::Maxclients) {
        stats.rejected_connections.add(1);
        send_away(socket, "-ERR max number of clients reached\r\n");
        return;
    }
    let open = core.acl.is_open();
    let loopback = match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
        }
    };
    if open && !loopback && core.config.yes(Name::ProtectedMode) {
        stats.rejected_connections.add(1);
        send_away(
            socket,
            "-DENIED This node runs in protected mode: without a password (`requirepass`) it \
             serves the loopback interface only. Set a password, or turn `protected-mode` off if \
             the network is closed.\r\n",
        );
        return;
    }
    let local = socket.local_addr().map_or_else(|_| String::new(), |local| local.to_string());
    let now_ms = core.now_ms;
    let id = core.clients.add(ClientKind::Normal, None, now_ms);
    let token = Token(CLIENT_TOKENS + id.place);
    let interest = Interest::READABLE | Interest::WRITABLE;
    if let Err(error) = core.registry.register(&mut socket, token, interest) {
        tracing::warn!("failed to watch a client's socket: {error}");
        core.clients.remove(id);
        return;
    }
    core.clients.attach(id, socket);
    if let Some(client) = core.clients.get_mut(id) {
        client.address = address.to_string();
        client.local_address = local;
        client.user = std::sync::Arc::clone(core.acl.default_user());
        client.authenticated = open;
    }
}

fn set_options(config: &Config, socket: &TcpStream) {
    let keepalive_s = config.int(Name::TcpKeepalive);
    let set = || {
        socket.set_nodelay(true)?;
        if keepalive_s > 0 {
            let seconds = Duration::from_secs(keepalive_s as u64);
            let third = Duration::from_secs((keepalive_s as u64 / 3).max(1));
            let keepalive = TcpKeepalive::new().with_time(seconds).with_interval(third);
            SockRef::from(socket).set_tcp_keepalive(&keepalive.with_retries(3))?;
        }
        io::Result::Ok(())
    };
    if let Err(error) = set() {
        tracing::debug!("failed to set a client's socket options: {error}");
    }
}
