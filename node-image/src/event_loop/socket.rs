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
        if read > 0 && execute::run_input(core, id) {
            core.to_resume.push(id);
        }
        match drained {
            Drained::Yes => {}
            Drained::No => self.to_read.push(id),
            Drained::Ended => finish_client(core, id),
            Drained::Broken => core.close(id),
        }
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
    if read > 0 && execute::run_input(core, id) {
        core.to_resume.push(id);
    }
    match drained {
        Drained::Yes | Drained::No => {}
        Drained::Ended => finish_client(core, id),
        Drained::Broken => core.close(id),
    }
    check_input_size(core, id);
}

/// The other side has sent its last request: it gets its replies, unless it would have to wait for
/// others to get them.
fn finish_client(core: &mut Core, id: ClientId) {
    if let Some(client) = core.clients.get_mut(id) {
        client.half_closed = true;
    }
    while execute::run_input(core, id) {}
    match core.clients.get(id) {
        Some(client) if client.blocked.is_none() && !client.paused => core.close_after_reply(id),
        _ => core.close(id),
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
