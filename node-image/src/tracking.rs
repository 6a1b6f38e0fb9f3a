//! Client-side caching: telling clients that what they keep a copy of has changed.
//!
//! ```text
//!   default    key ──> {serials of clients that read it}    forgotten once they are told
//!   broadcast  prefix ──> clients, and keys changed this turn (with who changed them)
//! ```
//!
//! A client in default mode is remembered with each key that it reads, and told at once when the
//! key changes; the client whose command changed it is told behind that command's reply. In
//! broadcast mode nothing is remembered: the keys that changed in a turn are told together when
//! the turn ends. The table of keys is bounded (`tracking-table-max-keys`): a key that finds no
//! room takes the place of another, whose readers are told as if it had changed.
//!
//! A client that has gone, or has turned tracking off, is not looked for in the table: its serial
//! finds nobody when a key changes. Not known here: how a client asks for it
//! (`commands/client/tracking.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use holdfast_wire::resp::{Protocol, ReplyBuf};

use crate::clients::{Client, ClientId};
use crate::commands::{Command, Flags, Group};
use crate::config::Name;
use crate::core::Core;
use crate::keys;

/// The channel by which a RESP2 client hears of changes.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Keys that leave the table in one go, at most a hundred for each time it was found too large.
const DROPPED_AT_ONCE: usize = 100;

/// How one client tracks.
#[derive(Debug, Clone, Default)]
pub struct Tracking {
    /// Who is told instead, by serial.
    pub redirect: Option<u64>,
    /// The client that is to be told has gone.
    pub broken: bool,
    /// Told of all keys with these prefixes, whoever read them.
    pub broadcast: bool,
    /// Remember only what follows CLIENT CACHING YES.
    pub opt_in: bool,
    /// Remember all but what follows CLIENT CACHING NO.
    pub opt_out: bool,
    /// Not told of one's own changes.
    pub no_loop: bool,
    /// CLIENT CACHING was called for the next command.
    pub caching: bool,
    /// In broadcast mode.
    pub prefixes: BTreeSet<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Broadcast {
    clients: BTreeSet<ClientId>,
    /// Who changed it; nobody when time did, or several did.
    changed: BTreeMap<Vec<u8>, Option<ClientId>>,
}

/// Who is to be told of what.
#[derive(Debug, Default)]
pub struct TrackingTable {
    readers: HashMap<Vec<u8>, BTreeSet<ClientId>>,
    reader_count: usize,
    prefixes: BTreeMap<Vec<u8>, Broadcast>,
    /// Clients that track.
    clients: BTreeSet<ClientId>,
    /// The script that runs has read something.
    script_has_read: bool,
    /// Times in a row that the table was found too large.
    pressure: usize,
}

impl TrackingTable {
    /// Keys that somebody has read.
    pub fn key_count(&self) -> usize {
        self.readers.len()
    }

    /// Pairs of a key and a reader.
    pub fn reader_count(&self) -> usize {
        self.reader_count
    }

    /// Prefixes in broadcast mode.
    pub fn prefix_count(&self) -> usize {
        self.prefixes.len()
    }

    /// Clients that track.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    fn remember(&mut self, key: &[u8], id: ClientId) {
        let readers = match self.readers.get_mut(key) {
            Some(readers) => readers,
            None => self.readers.entry(key.to_vec()).or_default(),
        };
        self.reader_count += usize::from(readers.insert(id));
    }

    fn forget(&mut self, key: &[u8]) -> BTreeSet<ClientId> {
        let readers = self.readers.remove(key).unwrap_or_default();
        self.reader_count -= readers.len();
        readers
    }

    fn changed(&mut self, key: &[u8], by: Option<ClientId>) {
        for (prefix, broadcast) in &mut self.prefixes {
            if key.starts_with(prefix) {
                let author = broadcast.changed.entry(key.to_vec()).or_insert(by);
                if *author != by {
                    *author = None;
                }
            }
        }
    }

    fn join(&mut self, id: ClientId, prefix: &[u8]) {
        self.prefixes.entry(prefix.to_vec()).or_default().clients.insert(id);
    }

    fn leave(&mut self, id: ClientId, prefix: &[u8]) {
        if let Some(broadcast) = self.prefixes.get_mut(prefix) {
            broadcast.clients.remove(&id);
            if broadcast.clients.is_empty() {
                self.prefixes.remove(prefix);
            }
        }
    }
}

impl Core {
    /// The client tracks from now on, in this way; prefixes are added to those it has.
    pub fn start_tracking(&mut self, id: ClientId, mut tracking: Tracking) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if tracking.broadcast {
            if tracking.prefixes.is_empty() {
                tracking.prefixes.insert(Vec::new());
            }
            for prefix in &tracking.prefixes {
                self.tracking.join(id, prefix);
            }
            if let Some(before) = &mut client.tracking {
                tracking.prefixes.append(&mut before.prefixes);
            }
        }
        self.tracking.clients.insert(id);
        client.tracking = Some(Box::new(tracking));
    }

    /// The client tracks no longer.
    pub fn stop_tracking(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let Some(tracking) = client.tracking.take() else { return };
        self.tracking.clients.remove(&id);
        for prefix in &tracking.prefixes {
            self.tracking.leave(id, prefix);
        }
    }

    /// A command of the client has run. A script that has read anything has read all the keys that
    /// it declared, since what it gives out may depend on each of them.
    pub fn note_read(&mut self, id: ClientId, command: &Command, args: &[&[u8]]) {
        let reads = command.flags.has(Flags::READONLY);
        if self.scripts.running.is_some() {
            self.tracking.script_has_read |= reads;
        } else if command.group == Group::Scripting {
            if std::mem::take(&mut self.tracking.script_has_read) {
                self.remember_read(id, command, args);
            }
        } else if reads {
            self.remember_read(id, command, args);
        }
    }

    /// The client has read the keys of a request, if it tracks what it reads.
    pub fn remember_read(&mut self, id: ClientId, command: &Command, args: &[&[u8]]) {
        let Some(tracking) = self.clients.get(id).and_then(|c| c.tracking.as_deref()) else {
            return;
        };
        let wanted =
            (!tracking.opt_in || tracking.caching) && (!tracking.opt_out || !tracking.caching);
        if tracking.broadcast || !wanted {
            return;
        }
        let table = &mut self.tracking;
        keys::visit(command, args, |at, _| {
            if let Some(key) = args.get(at) {
                table.remember(key, id);
            }
        });
    }

    /// A key has changed: who read it is told. `by` is who changed it.
    pub fn invalidate(&mut self, key: &[u8], by: Option<ClientId>) {
        if self.tracking.clients.is_empty() && self.tracking.readers.is_empty() {
            return;
        }
        self.tracking.changed(key, by);
        for id in self.tracking.forget(key) {
            let Some(tracking) = self.clients.get(id).and_then(|c| c.tracking.as_deref()) else {
                continue;
            };
            let is_own = tracking.no_loop && self.executing == Some(id);
            if !tracking.broadcast && !is_own {
                self.send_invalidation(id, Some(&[key]));
            }
        }
    }

    /// All keys are gone: everybody who tracks is told so.
    pub fn invalidate_all(&mut self) {
        self.tracking.readers.clear();
        self.tracking.reader_count = 0;
        for id in self.tracking.clients.clone() {
            self.send_invalidation(id, None);
        }
    }

    /// Tells in broadcast mode what this turn has changed.
    pub fn broadcast_changes(&mut self) {
        let mut all = Vec::new();
        for broadcast in self.tracking.prefixes.values_mut() {
            if !broadcast.changed.is_empty() {
                let clients: Vec<ClientId> = broadcast.clients.iter().copied().collect();
                all.push((clients, std::mem::take(&mut broadcast.changed)));
            }
        }
        for (clients, changed) in all {
            for id in clients {
                let tracking = self.clients.get(id).and_then(|c| c.tracking.as_deref());
                let no_loop = tracking.is_some_and(|tracking| tracking.no_loop);
                let keys: Vec<&[u8]> = changed
                    .iter()
                    .filter(|(_, author)| !(no_loop && **author == Some(id)))
                    .map(|(key, _)| key.as_slice())
                    .collect();
                if !keys.is_empty() {
                    self.send_invalidation(id, Some(&keys));
                }
            }
        }
    }

    /// Makes the table as small as it must be; what leaves it counts as changed.
    pub fn bound_tracking_table(&mut self) {
        let max = self.config.size(Name::TrackingTableMaxKeys);
        if max == 0 || self.tracking.readers.len() <= max {
            self.tracking.pressure = 0;
            return;
        }
        self.tracking.pressure += 1;
        let surplus = self.tracking.readers.len() - max;
        let count = surplus.min(DROPPED_AT_ONCE.saturating_mul(self.tracking.pressure));
        let dropped: Vec<Vec<u8>> = self.tracking.readers.keys().take(count).cloned().collect();
        for key in dropped {
            for id in self.tracking.forget(&key) {
                let tracking = self.clients.get(id).and_then(|c| c.tracking.as_deref());
                if tracking.is_some_and(|tracking| !tracking.broadcast) {
                    self.send_invalidation(id, Some(&[&key]));
                }
            }
        }
    }

    /// Tells a client, or whom it named instead, that these keys (`None`: all) are no longer
    /// what it has read.
    fn send_invalidation(&mut self, id: ClientId, keys: Option<&[&[u8]]>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let Some(tracking) = client.tracking.as_deref_mut() else { return };
        let (mut target, redirect) = (id, tracking.redirect);
        if let Some(serial) = redirect {
            match self.clients.by_serial(serial) {
                Some(other) => target = other,
                None => return self.tell_redirect_broken(id, serial),
            }
        }
        let Some(client) = self.clients.get(target) else { return };
        let listens = |c: &Client| c.subscriptions.channels.contains(CHANNEL);
        let mut reply = ReplyBuf::new(client.protocol);
        match client.protocol {
            Protocol::Resp3 => {
                reply.push(2);
                reply.bulk(b"invalidate");
            }
            Protocol::Resp2 if redirect.is_some() && listens(client) => {
                reply.push(3);
                reply.bulk(b"message");
                reply.bulk(CHANNEL);
            }
            // Without a redirection there is no way to tell it in RESP2.
            Protocol::Resp2 => return,
        }
        match keys {
            Some(keys) => {
                reply.array(keys.len());
                keys.iter().for_each(|key| reply.bulk(key));
            }
            None => reply.null(),
        }
        let bytes = reply.into_bytes();
        self.push(target, &bytes);
    }

    fn tell_redirect_broken(&mut self, id: ClientId, serial: u64) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if let Some(tracking) = client.tracking.as_deref_mut() {
            tracking.broken = true;
        }
        if client.protocol == Protocol::Resp3 {
            let mut reply = ReplyBuf::new(client.protocol);
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.integer(serial as i64);
            let bytes = reply.into_bytes();
            self.push(id, &bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(serial: u64) -> ClientId {
        ClientId { place: serial as usize, serial }
    }

    #[test]
    fn a_reader_is_counted_once_a_key_and_forgotten_with_it() {
        let mut table = TrackingTable::default();
        table.remember(b"k", id(1));
        table.remember(b"k", id(1));
        table.remember(b"k", id(2));
        table.remember(b"l", id(1));
        assert_eq!((table.key_count(), table.reader_count()), (2, 3));
        assert_eq!(table.forget(b"k").len(), 2);
        assert_eq!((table.key_count(), table.reader_count()), (1, 1));
        assert!(table.forget(b"k").is_empty());
    }

    #[test]
    fn what_two_have_changed_was_changed_by_nobody_in_particular() {
        let mut table = TrackingTable::default();
        table.join(id(1), b"user:");
        table.changed(b"user:1", Some(id(1)));
        table.changed(b"user:2", Some(id(1)));
        table.changed(b"user:2", None);
        table.changed(b"other", Some(id(1)));
        let changed = &table.prefixes[&b"user:"[..]].changed;
        assert_eq!(changed.len(), 2);
        assert_eq!(changed[&b"user:1"[..]], Some(id(1)));
        assert_eq!(changed[&b"user:2"[..]], None);
        table.leave(id(1), b"user:");
        assert_eq!(table.prefix_count(), 0);
    }
}
