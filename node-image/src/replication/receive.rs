//! Takes a full sync in: a snapshot from the link into a store of its own.
//!
//! ```text
//!   $EOF:<40 bytes>\r\n snapshot <the same 40 bytes>      or      $<length>\r\n snapshot
//! ```
//!
//! The node's data stays as it is until the snapshot is complete and its checksum right; then the
//! stores are exchanged. Not known here: sockets, and what follows the snapshot.

use holdfast_store::rdb::{Item, Reader};
use holdfast_store::{ExpiryRule, Store};

const MARK_BYTES: usize = 40;
/// A longer header line is none.
const HEADER_BYTES_MAX: usize = 64;

#[derive(Debug)]
enum State {
    Header,
    Body {
        end: End,
    },
    /// The snapshot is complete, its mark is awaited.
    Mark([u8; MARK_BYTES]),
    Done,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Mark([u8; MARK_BYTES]),
    /// Bytes that are left to come.
    Length(u64),
}

/// A full sync that is coming in.
#[derive(Debug)]
pub struct Receive {
    state: State,
    /// Bytes that are not understood yet (header and mark only).
    buffer: Vec<u8>,
    reader: Reader,
    store: Store,
    db: usize,
    keys: u64,
}

impl Receive {
    /// A sync into a store of the same shape as `like`.
    pub fn new(like: &Store) -> Self {
        let mut store = Store::new(like.config());
        store.set_limits(like.limits());
        store.set_expiry_rule(ExpiryRule::Ignore);
        Receive {
            state: State::Header,
            buffer: Vec::new(),
            reader: Reader::default(),
            store,
            db: 0,
            keys: 0,
        }
    }

    /// Takes bytes of the link; gives what follows the snapshot once it is complete.
    pub fn take(&mut self, bytes: &[u8], now_ms: i64) -> Result<Option<Vec<u8>>, String> {
        match self.state {
            State::Body { .. } => self.body(bytes, now_ms),
            State::Header => {
                self.buffer.extend_from_slice(bytes);
                if !self.header()? {
                    return Ok(None);
                }
                let rest = std::mem::take(&mut self.buffer);
                self.body(&rest, now_ms)
            }
            State::Mark(_) => {
                self.buffer.extend_from_slice(bytes);
                self.mark()
            }
            State::Done => Err("bytes came for a snapshot that is complete".into()),
        }
    }

    /// True once the header line was understood.
    fn header(&mut self) -> Result<bool, String> {
        // A primary that prepares the snapshot sends empty lines meanwhile.
        let empty = self.buffer.iter().take_while(|byte| **byte == b'\n').count();
        self.buffer.drain(..empty);
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            let hopeless = self.buffer.len() > HEADER_BYTES_MAX;
            return if hopeless { Err("the snapshot has no header".into()) } else { Ok(false) };
        };
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        let line = line.trim_ascii_end();
        let end = if let Some(mark) = line.strip_prefix(b"$EOF:") {
            End::Mark(mark.try_into().map_err(|_| "the snapshot's mark is not one")?)
        } else {
            let digits = line.strip_prefix(b"$").and_then(|d| std::str::from_utf8(d).ok());
            let length = digits.and_then(|digits| digits.parse().ok());
            let text = line.escape_ascii();
            End::Length(length.ok_or_else(|| format!("instead of a snapshot came '{text}'"))?)
        };
        self.state = State::Body { end };
        Ok(true)
    }

    fn body(&mut self, bytes: &[u8], now_ms: i64) -> Result<Option<Vec<u8>>, String> {
        let State::Body { end } = &mut self.state else { return Ok(None) };
        let mut behind: &[u8] = &[];
        let mut bytes = bytes;
        if let End::Length(left) = end {
            let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            (bytes, behind) = bytes.split_at(count);
            *left -= count as u64;
        }
        let end = *end;
        self.reader.feed(bytes);
        while let Some(item) = self.reader.next_item().map_err(|error| error.to_string())? {
            self.item(item, now_ms)?;
        }
        match end {
            End::Mark(mark) if self.reader.is_ended() => {
                self.buffer = self.reader.leftover().to_vec();
                self.state = State::Mark(mark);
                self.mark()
            }
            End::Length(0) => {
                self.reader.finish().map_err(|error| error.to_string())?;
                self.state = State::Done;
                Ok(Some(behind.to_vec()))
            }
            _ => Ok(None),
        }
    }

    fn mark(&mut self) -> Result<Option<Vec<u8>>, String> {
        let State::Mark(mark) = self.state else { return Ok(None) };
        if self.buffer.len() < MARK_BYTES {
            return Ok(None);
        }
        let behind = self.buffer.split_off(MARK_BYTES);
        if self.buffer != mark {
            return Err("the snapshot does not end with its mark".into());
        }
        self.state = State::Done;
        Ok(Some(behind))
    }

    fn item(&mut self, item: Item, now_ms: i64) -> Result<(), String> {
        match item {
            Item::Entry { db, key, content, expires_at_ms } => {
                let db = db as usize;
                if db >= self.store.config().databases {
                    return Err(format!("the snapshot has a database {db}, this node has not"));
                }
                let value = content.into_value(&self.store.limits());
                let expiry_ms = expires_at_ms.map(|at| i64::try_from(at).unwrap_or(i64::MAX));
                self.store.insert(db, &key, value, expiry_ms, now_ms);
                self.keys += 1;
            }
            Item::Aux { key, value } if key == b"repl-stream-db" => {
                let db = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                self.db = db.unwrap_or(0);
            }
            Item::Aux { .. } | Item::Sizes { .. } | Item::End => {}
        }
        Ok(())
    }

    /// The new data, the database that the stream is at, and the number of keys.
    pub fn into_store(self) -> (Store, usize, u64) {
        (self.store, self.db, self.keys)
    }

    /// Bytes of the snapshot that were understood.
    pub fn received_bytes(&self) -> u64 {
        self.reader.offset()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_store::rdb::{Writer, WriterOptions};
    use holdfast_store::{HashSeed, StoreConfig};

    fn empty() -> Store {
        Store::new(StoreConfig { databases: 4, cluster: false, seed: HashSeed([1; 16]) })
    }

    fn snapshot() -> Vec<u8> {
        let mut writer = Writer::new(WriterOptions::default());
        writer.aux("repl-stream-db", "3");
        for n in 0..100 {
            writer.string(format!("key{n}").as_bytes(), None, b"value");
        }
        writer.finish();
        writer.take()
    }

    fn receive(bytes: &[u8], piece: usize) -> Result<Option<(usize, usize, Vec<u8>)>, String> {
        let mut receive = Receive::new(&empty());
        for (count, bytes_now) in bytes.chunks(piece).enumerate() {
            if let Some(behind) = receive.take(bytes_now, 0)? {
                let rest = bytes.get((count + 1) * piece..).unwrap_or_default();
                let behind = [&behind[..], rest].concat();
                let (store, db, _) = receive.into_store();
                return Ok(Some((store.len(0), db, behind)));
            }
        }
        Ok(None)
    }

    #[test]
    fn both_kinds_of_end_are_found_however_the_bytes_are_cut() {
        let snapshot = snapshot();
        let mark = "0123456789".repeat(4);
        let by_mark =
            [b"\n\n$EOF:", mark.as_bytes(), b"\r\n", &snapshot, mark.as_bytes(), b"PING"].concat();
        let header = format!("\n${}\r\n", snapshot.len());
        let by_length = [header.as_bytes(), &snapshot, b"PING"].concat();
        for bytes in [by_mark, by_length] {
            for piece in [1, 3, 41, 1000, bytes.len()] {
                let expected = Some((100, 3, b"PING".to_vec()));
                assert_eq!(receive(&bytes, piece), Ok(expected), "pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_sync_that_goes_wrong_is_an_error_and_one_that_stops_is_never_complete() {
        let snapshot = snapshot();
        let mark = "0123456789".repeat(4);
        let head = [b"$EOF:", mark.as_bytes(), b"\r\n"].concat();
        let wrong_mark = [&head[..], &snapshot, "x".repeat(40).as_bytes()].concat();
        assert!(receive(&wrong_mark, 100).is_err());
        assert!(receive(b"-ERR no\r\n", 100).is_err());
        assert!(receive(b"$EOF:short\r\n", 100).is_err());
        let short = [format!("${}\r\n", snapshot.len() - 1).as_bytes(), &snapshot].concat();
        assert!(receive(&short, 100).is_err());
        let cut = [&head[..], &snapshot].concat();
        assert_eq!(receive(&cut, 100), Ok(None));
    }
}
