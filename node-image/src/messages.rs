//! What the node's threads say to each other.
//!
//! Three threads, three mailboxes: core, bus, disk. A message is moved, never shared; nobody waits
//! for an answer: it comes as a message of its own. The vocabulary of a thread lives with the
//! thread ([`crate::bus`], [`crate::disk`]), the envelopes are here. Not known here: what the
//! messages bring about.

use std::sync::Arc;
use std::sync::mpsc;

use holdfast_wire::resp::ReplyBuf;

use crate::commands::{AnswerToken, CommandError};

pub use crate::bus::{FromBus, ToBus};
pub use crate::disk::{FromDisk, ToDisk};

/// Writes a promised reply in the client's dialect.
pub type WriteReply = Box<dyn FnOnce(&mut ReplyBuf) + Send>;

/// What the core is told.
pub enum ToCore {
    /// From the bus thread; goes to [`crate::bus::on_message`].
    Bus(FromBus),
    /// From the disk thread; goes to [`crate::disk::on_message`].
    Disk(FromDisk),
    /// The reply to a request whose handler ended with `Outcome::Promised`.
    Answer {
        /// Which reply.
        token: AnswerToken,
        /// The reply, or the error.
        reply: Result<WriteReply, CommandError>,
    },
    /// SIGTERM or SIGINT; goes to [`crate::shutdown::on_signal`].
    Signal,
}

/// The sending end of a mailbox. Sending never blocks.
pub struct Outbox<T> {
    sender: mpsc::Sender<T>,
    waker: Option<Arc<mio::Waker>>,
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Outbox { sender: self.sender.clone(), waker: self.waker.clone() }
    }
}

impl<T> Outbox<T> {
    /// Sends; a receiver that is gone is a thread that has ended, and then so does the process.
    pub fn send(&self, message: T) {
        if self.sender.send(message).is_ok()
            && let Some(waker) = &self.waker
            && let Err(error) = waker.wake()
        {
            tracing::warn!("failed to wake a thread: {error}");
        }
    }
}

/// A mailbox. A thread that sleeps in epoll gives its waker; one that sleeps in `recv` gives none.
pub fn mailbox<T>(waker: Option<Arc<mio::Waker>>) -> (Outbox<T>, mpsc::Receiver<T>) {
    let (sender, receiver) = mpsc::channel();
    (Outbox { sender, waker }, receiver)
}
