//! Reading from, writing to and closing one client's socket.
//!
//! Not known here: what the bytes say.

use std::io::{self, Read};

use super::EventLoop;
use crate::clients::{Client, ClientId, ClientKind};
use crate::config::Name;
use crate::core::Core;
use crate::execute;

/// Reads of one client in one turn.
const READS_MAX: usize = 16;

/// Bytes that a client may send before it is authenticated.
const UNAUTHENTICATED_BYTES_MAX: usize = 16 * 1024;

enum Drained {
    /// The socket is empty.
    Yes,
    /// There may be more.
    No,
    /// The other side sends nothing more; what it has sent is to be answered.
    Ended,
    /// The connection broke.
    Broken,
}

impl EventLoop {
    /// Reads what has come and runs the requests in it. `ends` when the other side is known to send
    /// nothing more: its end is then behind the bytes, and no other event will tell of it.
    pub(super) fn read_client(&mut self, core: &mut Core, id: ClientId, ends: bool) {
        let Some(client) = core.clients.get_mut(id) else { return };
        if client.close_now {
            return;
        }
        let before = client.read_bytes;
        let drained = read_all(client, &mut self.scratch, ends);
        let read = client.read_bytes - before;
        core.shared.stats.net_input_bytes.add(read);
        // What has come may be too much already, before it is understood.
        core.count_client(id);
        core.evict_clients();
        run_what_came(core, id, read, &drained);
        check_input_size(core, id);
        core.count_client(id);
    }

    /// Writes what may leave.
    pub(super) fn flush_client(&mut self, core: &mut Core, id: ClientId) {
        flush(core, id);
    }

    /// Forgets a client everywhere.
    pub(super) fn drop_client(&mut self, core: &mut Core, id: ClientId) {
        execute::forget(core, id);
        core.unsubscribe_all(id);
        core.stop_tracking(id);
        core.stop_monitoring(id);
        core.forget_answers(id);
        crate::replication::on_client_closed(core, id);
        let Some(mut client) = core.clients.remove(id) else { return };
        core.watched.remove(id, &client.watching);
        if let Some(socket) = client.socket.as_mut() {
            socket.say_goodbye();
            if let Err(error) = core.registry.deregister(socket) {
                tracing::debug!("failed to stop watching a client's socket: {error}");
            }
        }
    }
}

/// Writes what may leave.
pub(super) fn flush(core: &mut Core, id: ClientId) {
    // What is over the limit is not sent, even if the kernel would take it.
    check_output_size(core, id);
    let released = core.log.released();
    let keeps_buffers = core.keeps_reply_buffers;
    let Some(client) = core.clients.get_mut(id) else { return };
    client.flush_queued = false;
    if client.close_now {
        return;
    }
    let Some(socket) = client.socket.as_mut() else {
        client.output.clear();
        return;
    };
    match client.output.write_to(socket, released) {
        Ok(written) => {
            if !keeps_buffers {
                client.output.give_back();
            }
            client.written_bytes += written as u64;
            core.shared.stats.net_output_bytes.add(written as u64);
        }
        Err(error) => {
            tracing::debug!("failed to write to client {}: {error}", client.address);
            core.close(id);
            return;
        }
    }
    if let Err(error) = socket.push() {
        tracing::debug!("failed to write to client {}: {error}", client.address);
        core.close(id);
        return;
    }
    if client.close_after_reply && client.output.is_empty() && !socket.holds_back() {
        core.close(id);
        return;
    }
    check_output_size(core, id);
    execute::let_go_on(core, id);
    core.count_client(id);
}

/// Reads what has come and runs what may run while a script has taken too long.
pub(super) fn read_beside_script(core: &mut Core, id: ClientId, scratch: &mut [u8]) {
    let Some(client) = core.clients.get_mut(id) else { return };
    let before = client.read_bytes;
    let drained = read_all(client, scratch, false);
    let read = client.read_bytes - before;
    core.shared.stats.net_input_bytes.add(read);
    run_what_came(core, id, read, &drained);
    check_input_size(core, id);
}

/// Runs what has been read, and sees to what is left. Of an end it is told once: the client's last
/// requests may take many turns, since its replies wait like those of any other.
fn run_what_came(core: &mut Core, id: ClientId, read: u64, drained: &Drained) {
    let mut has_ended = false;
    if let (Drained::Ended, Some(client)) = (drained, core.clients.get_mut(id)) {
        has_ended = !std::mem::replace(&mut client.half_closed, true);
    }
    if read > 0 || has_ended {
        execute::go_on(core, id);
    }
    match drained {
        Drained::Yes | Drained::Ended => {}
        // A TLS session may hold the rest, and no event would tell of it.
        Drained::No => {
            core.to_read.insert(id);
        }
        Drained::Broken => core.close(id),
    }
}

fn read_all(client: &mut Client, scratch: &mut [u8], ends: bool) -> Drained {
    let Some(socket) = client.socket.as_mut() else { return Drained::Broken };
    for _ in 0..READS_MAX {
        match socket.read(scratch) {
            Ok(0) => return Drained::Ended,
            Ok(count) => {
                client.read_bytes += count as u64;
                if client.close_after_reply {
                    // What comes after the last request is not kept.
                    continue;
                }
                client.input.extend_from_slice(scratch.get(..count).unwrap_or_default());
                if socket.is_drained_by(count, scratch.len()) && !ends {
                    return Drained::Yes;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Drained::Yes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::debug!("failed to read from client {}: {error}", client.address);
                return Drained::Broken;
            }
        }
    }
    Drained::No
}

fn check_input_size(core: &mut Core, id: ClientId) {
    let limit = core.config.size(Name::ClientQueryBufferLimit);
    let Some(client) = core.clients.get(id) else { return };
    let limit = if client.authenticated { limit } else { UNAUTHENTICATED_BYTES_MAX.min(limit) };
    let waiting = client.input.len() - client.input_start;
    // An unauthenticated client may have sent a whole pipeline behind its AUTH; only a request
    // that is not complete within the limit is too much.
    if waiting > limit
        && !(client.is_waiting() && waiting <= core.config.size(Name::ClientQueryBufferLimit))
    {
        tracing::warn!(
            "Closing client that reached max query buffer length: addr={} qbuf={waiting}",
            client.address
        );
        core.shared.stats.query_buffer_disconnections.add(1);
        core.close(id);
    }
}

/// Cuts clients that do not read their replies.
pub(crate) fn check_output_size(core: &mut Core, id: ClientId) {
    let now_ms = core.now_ms;
    let Some(client) = core.clients.get_mut(id) else { return };
    if client.close_now {
        return;
    }
    let class = match client.kind {
        ClientKind::Normal if !client.subscriptions.is_empty() => "pubsub",
        ClientKind::Normal => "normal",
        ClientKind::Replica => "slave",
        ClientKind::Primary | ClientKind::Loader => return,
    };
    let waiting = client.output.len();
    if waiting == 0 {
        client.soft_limit_since_ms = None;
        return;
    }
    let (hard, soft, seconds) = if client.authenticated {
        core.config.output_limit(class)
    } else {
        (UNAUTHENTICATED_BYTES_MAX, 0, 0)
    };
    let over_soft = soft > 0 && waiting > soft;
    let since = match (over_soft, client.soft_limit_since_ms) {
        (false, _) => None,
        (true, None) => Some(now_ms),
        (true, since) => since,
    };
    client.soft_limit_since_ms = since;
    let too_long = since.is_some_and(|since| now_ms - since > seconds as i64 * 1000);
    if (hard > 0 && waiting > hard) || too_long {
        tracing::warn!(
            "Client addr={} scheduled to be closed ASAP for overcoming of output buffer limits: \
             {waiting} bytes wait.",
            client.address
        );
        core.shared.stats.output_buffer_disconnections.add(1);
        core.close(id);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use holdfast_store::{HashSeed, Store, StoreConfig};

    use super::*;
    use crate::config::Config;
    use crate::core::Parts;
    use crate::messages::mailbox;
    use crate::shared::Shared;
    use crate::transport::Socket;

    fn core(registry: mio::Registry) -> Core {
        let config = Arc::new(Config::default());
        let log = crate::logging::start(&config).unwrap();
        let boot_id = holdfast_wire::id::BootId([0; 16]);
        Core::new(Parts {
            shared: Arc::new(Shared::new(config, boot_id, String::new(), 0, log)),
            store: Store::new(StoreConfig {
                databases: 1,
                cluster: false,
                seed: HashSeed([0; 16]),
            }),
            to_bus: mailbox(None).0,
            to_disk: mailbox(None).0,
            to_core: mailbox(None).0,
            registry,
            now_ms: 0,
        })
    }

    #[test]
    fn what_a_look_beside_a_script_leaves_in_a_socket_is_read_in_the_next_turn() {
        let poll = mio::Poll::new().unwrap();
        let mut core = core(poll.registry().try_clone().unwrap());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut other = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = Socket::Plain(mio::net::TcpStream::from_std(socket));
        let id = core.clients.add(ClientKind::Normal, Some(socket), 0);
        let mut scratch = [0; 8];
        other.write_all(&[b'\n'; 8 * READS_MAX + 8]).unwrap();
        read_beside_script(&mut core, id, &mut scratch);
        assert!(core.to_read.contains(&id));
        core.to_read.clear();
        read_beside_script(&mut core, id, &mut scratch);
        assert!(core.to_read.is_empty());
    }
}
