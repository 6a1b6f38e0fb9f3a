//! What connections cost, and ending the costliest when all together cost too much.
//!
//! `maxmemory-clients` bounds the sum over ordinary clients and subscribers. A client is counted
//! anew whenever it was read from or written to; at the end of a turn in which the sum is too
//! large, the largest clients are ended first, until it is not. CLIENT NO-EVICT saves a client
//! from that, though what it costs still counts. Without a bound nothing is counted. Not known
//! here: replicas' and the primary's connections, which have bounds of their own.

use std::mem::size_of;

use crate::clients::{Client, ClientId, ClientKind};
use crate::config::Name;
use crate::core::Core;

/// What a key that is watched costs beside its bytes, in the client and in the table.
const WATCHED_KEY_BYTES: usize = 128;

impl Client {
    /// Bytes of requests that have come and are not yet done with; a large argument whose header
    /// is understood counts without what stands before it.
    pub fn query_bytes(&self) -> usize {
        let waiting = self.input.len() - self.input_start + self.running_bytes;
        waiting.saturating_sub(self.parser.passed_bytes())
    }

    /// Bytes of the transaction that is being put together.
    pub fn multi_bytes(&self) -> usize {
        self.multi.as_ref().map_or(0, |multi| multi.bytes)
    }

    /// All that the connection costs.
    pub fn memory_bytes(&self) -> usize {
        let watching = self.watching.len() * WATCHED_KEY_BYTES;
        let prefixes = self.tracking.as_deref().map_or(0, |tracking| {
            tracking.prefixes.iter().map(|prefix| 2 * (prefix.len() + size_of::<Vec<u8>>())).sum()
        });
        size_of::<Client>()
            + self.input.len()
            + self.running_bytes
            + self.output.len()
            + self.multi_bytes()
            + watching
            + self.subscriptions.bytes()
            + prefixes
            + self.name.len()
    }

    fn counts(&self) -> bool {
        self.kind == ClientKind::Normal && self.socket.is_some()
    }
}

impl Core {
    /// The bound of `maxmemory-clients`; `None` without one.
    fn client_bytes_max(&self) -> Option<usize> {
        match self.config.int(Name::MaxmemoryClients) {
            0 => None,
            percent @ ..0 => {
                let whole = self.config.int(Name::Maxmemory);
                (whole > 0).then(|| (whole / 100 * -percent) as usize)
            }
            bytes => usize::try_from(bytes).ok(),
        }
    }

    /// Counts a client anew.
    pub fn count_client(&mut self, id: ClientId) {
        if self.client_bytes_max().is_none() {
            return;
        }
        if let Some(client) = self.clients.get_mut(id) {
            let bytes = if client.counts() { client.memory_bytes() } else { 0 };
            let before = std::mem::replace(&mut client.counted_bytes, bytes);
            self.clients.counted_bytes += bytes;
            self.clients.counted_bytes -= before;
        }
    }

    /// Counts all clients anew: the bound has just been set.
    pub fn count_clients(&mut self) {
        let all: Vec<ClientId> = self.clients.iter().map(|client| client.id).collect();
        all.into_iter().for_each(|id| self.count_client(id));
    }

    /// Ends the largest clients until the rest is within the bound.
    pub fn evict_clients(&mut self) {
        let Some(max) = self.client_bytes_max() else { return };
        if self.clients.counted_bytes <= max {
            return;
        }
        self.count_clients();
        let leaving: usize =
            self.clients.iter().filter(|c| c.close_now).map(|c| c.counted_bytes).sum();
        let mut sum = self.clients.counted_bytes - leaving;
        let evictable = |c: &&Client| c.counts() && !c.no_evict && !c.close_now;
        let mut largest: Vec<(usize, ClientId)> =
            self.clients.iter().filter(evictable).map(|c| (c.counted_bytes, c.id)).collect();
        largest.sort_unstable_by(|left, right| right.cmp(left));
        for (bytes, id) in largest {
            if sum <= max {
                return;
            }
            sum -= bytes;
            tracing::warn!("Evicting client {}: it costs {bytes} bytes.", id.serial);
            self.shared.stats.evicted_clients.add(1);
            self.close(id);
        }
    }
}
