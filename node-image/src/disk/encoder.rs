//! Snapshots are encoded on a thread of their own.
//!
//! The core only walks its keyspace and hands over batches of entries; clones of large values
//! share their nodes, so that costs little. Turning them into bytes, compressing, summing and
//! writing happens here. Each batch is answered, and the core keeps only a few on the way: a slow
//! disk or a slow replica slows the walk, never the memory.
//! Not known here: the store, the log, and where streamed bytes go.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use holdfast_store::Value;
use holdfast_store::rdb::{Writer, WriterOptions};

use super::FromDisk;
use crate::messages::{Outbox, ToCore};

/// A file is synced each time it has grown by this much, so that the last sync is short.
const SYNC_EVERY_BYTES: usize = 32 << 20;

/// An entry on its way.
#[derive(Debug)]
pub struct Entry {
    /// Number of its database.
    pub db: u32,
    /// Its name.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Value,
    /// When it expires, in Unix milliseconds.
    pub expires_at_ms: Option<u64>,
}

/// What a snapshot begins with.
#[derive(Debug)]
pub struct Head {
    /// Facts, in order.
    pub aux: Vec<(&'static str, String)>,
    /// Keys and expiring keys of each database.
    pub sizes: Vec<(u64, u64)>,
    /// How to write.
    pub options: WriterOptions,
}

/// Where the bytes go.
#[derive(Debug)]
pub enum Target {
    /// A new file, synced at the end.
    File(PathBuf),
    /// Back to the core, piece by piece.
    Core,
}

enum Order {
    Batch(Vec<Entry>),
    Finish,
}

/// The core's end of an encoder. Dropping it gives the snapshot up.
#[derive(Debug)]
pub struct Encoder {
    orders: Sender<Order>,
}

impl Encoder {
    /// Starts the thread of run number `run`.
    pub fn start(
        run: u64,
        head: Head,
        target: Target,
        core: Outbox<ToCore>,
    ) -> io::Result<Encoder> {
        let (orders, receiver) = channel();
        let name = format!("snapshot-{run}");
        std::thread::Builder::new().name(name).spawn(move || {
            let mut end = End { run, target, core, result: Some(Err("the encoder died".into())) };
            let result = encode(run, head, &end.target, &end.core, &receiver);
            end.result = result.map_err(|error| error.to_string()).transpose();
        })?;
        Ok(Encoder { orders })
    }

    /// Hands over entries; answered by [`FromDisk::SnapshotPiece`].
    pub fn batch(&self, entries: Vec<Entry>) {
        // An encoder that has ended has sent its error.
        let _ = self.orders.send(Order::Batch(entries));
    }

    /// Says that there are no more; answered by [`FromDisk::SnapshotEnded`].
    pub fn finish(&self) {
        let _ = self.orders.send(Order::Finish);
    }
}

/// Tells the core when the thread ends, even by a panic: a cut whose end nobody hears of keeps old
/// values for ever, and with them the writers who wait.
struct End {
    run: u64,
    target: Target,
    core: Outbox<ToCore>,
    /// What is told; nothing when the snapshot was given up.
    result: Option<Result<u64, String>>,
}

impl Drop for End {
    fn drop(&mut self) {
        let Some(result) = self.result.take() else { return };
        if let (Err(_), Target::File(path)) = (&result, &self.target) {
            // Half a snapshot helps nobody.
            let _ = std::fs::remove_file(path);
        }
        self.core.send(ToCore::Disk(FromDisk::SnapshotEnded { run: self.run, result }));
    }
}

/// Bytes written in all, or `None` when the snapshot was given up.
fn encode(
    run: u64,
    head: Head,
    target: &Target,
    core: &Outbox<ToCore>,
    orders: &Receiver<Order>,
) -> io::Result<Option<u64>> {
    let mut sink = match target {
        Target::File(path) => Some(File::create(path)?),
        Target::Core => None,
    };
    let mut writer = Writer::new(head.options);
    for (key, value) in &head.aux {
        writer.aux(key, value);
    }
    let (mut db, mut total, mut unsynced) = (None, 0, 0);
    loop {
        let finished = match orders.recv() {
            Ok(Order::Batch(entries)) => {
                for entry in entries {
                    if db != Some(entry.db) {
                        let sizes = head.sizes.get(entry.db as usize).copied().unwrap_or_default();
                        writer.select_db(entry.db, sizes.0, sizes.1);
                        db = Some(entry.db);
                    }
                    writer.value(&entry.key, entry.expires_at_ms, &entry.value);
                }
                false
            }
            Ok(Order::Finish) => {
                writer.finish();
                true
            }
            Err(_) => {
                if let Target::File(path) = target {
                    std::fs::remove_file(path)?;
                }
                return Ok(None);
            }
        };
        let bytes = writer.take();
        total += bytes.len() as u64;
        let piece = match &mut sink {
            Some(file) => {
                file.write_all(&bytes)?;
                unsynced += bytes.len();
                if unsynced >= SYNC_EVERY_BYTES || finished {
                    file.sync_all()?;
                    unsynced = 0;
                }
                Vec::new()
            }
            None => bytes,
        };
        core.send(ToCore::Disk(FromDisk::SnapshotPiece { run, bytes: piece }));
        if finished {
            return Ok(Some(total));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::mailbox;

    #[test]
    fn an_encoder_that_panics_tells_its_end_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("half");
        std::fs::write(&path, b"half").unwrap();
        let (core, inbox) = mailbox(None);
        let target = Target::File(path.clone());
        let died = std::thread::spawn(move || {
            let _end = End { run: 7, target, core, result: Some(Err("it died".into())) };
            panic!("as a broken value might");
        });
        assert!(died.join().is_err());
        let told = inbox.recv().unwrap();
        assert!(matches!(told, ToCore::Disk(FromDisk::SnapshotEnded { run: 7, result: Err(_) })));
        assert!(!path.exists());
    }
}
