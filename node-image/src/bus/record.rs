//! nodes.conf on its way to the disk.
//!
//! Each text is the whole file, so of the texts that wait only the newest matters, and one at a
//! time is being written:
//!
//!   wish 7 ── being written      wish 8 ── replaced by 9      wish 9 ── waits
//!
//! When 9 is durable, so are 7 and 8. A text that could not be written is tried again: the disk
//! may be full for a moment only, and until then the node does not vote. Not known here: files.

use holdfast_cluster::{Persist, Ticket};

/// Pause before a text that could not be written is tried again.
const RETRY_MS: u64 = 500;

/// What is written, what waits, what is durable.
#[derive(Debug, Default)]
pub(super) struct Record {
    writing: Option<Persist>,
    next: Option<Persist>,
    retry_at_ms: Option<u64>,
    durable: Ticket,
}

impl Record {
    /// Wishes a text to be durable; gives it back when it is to be written at once.
    pub(super) fn wish(&mut self, persist: Persist) -> Option<Persist> {
        self.next = Some(persist);
        self.begin()
    }

    fn begin(&mut self) -> Option<Persist> {
        if self.writing.is_some() || self.retry_at_ms.is_some() {
            return None;
        }
        self.writing = self.next.take();
        self.writing.clone()
    }

    /// The text of this ticket is durable; gives the next one to write.
    pub(super) fn written(&mut self, ticket: Ticket) -> Option<Persist> {
        self.durable = self.durable.max(ticket);
        if self.writing.as_ref().is_some_and(|writing| writing.ticket <= ticket) {
            self.writing = None;
        }
        self.begin()
    }

    /// The text of this ticket could not be written; a newer one is tried at once, the same one
    /// after a pause.
    pub(super) fn failed(&mut self, ticket: Ticket, now_ms: u64) -> Option<Persist> {
        let failed = self.writing.take_if(|writing| writing.ticket <= ticket)?;
        if self.next.is_none() {
            self.next = Some(failed);
            self.retry_at_ms = Some(now_ms + RETRY_MS);
        }
        self.begin()
    }

    /// The text to try again now.
    pub(super) fn due(&mut self, now_ms: u64) -> Option<Persist> {
        self.retry_at_ms.take_if(|at| *at <= now_ms)?;
        self.begin()
    }

    /// When [`Record::due`] has something.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.retry_at_ms
    }

    /// All tickets up to this one are durable.
    pub(super) fn durable(&self) -> Ticket {
        self.durable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persist(ticket: u64) -> Persist {
        Persist { ticket: Ticket(ticket), text: format!("text {ticket}") }
    }

    #[test]
    fn of_the_texts_that_wait_only_the_newest_is_written() {
        let mut record = Record::default();
        assert_eq!(record.wish(persist(1)), Some(persist(1)));
        assert_eq!(record.wish(persist(2)), None);
        assert_eq!(record.wish(persist(3)), None);
        assert_eq!(record.written(Ticket(1)), Some(persist(3)));
        assert_eq!(record.durable(), Ticket(1));
        assert_eq!(record.written(Ticket(3)), None);
        assert_eq!(record.durable(), Ticket(3));
    }

    #[test]
    fn a_text_that_could_not_be_written_is_tried_again_after_a_pause() {
        let mut record = Record::default();
        record.wish(persist(1));
        assert_eq!(record.failed(Ticket(1), 1000), None);
        assert_eq!(record.due(1499), None);
        assert_eq!(record.due(1500), Some(persist(1)));
        assert_eq!(record.durable(), Ticket(0));
        assert_eq!(record.wish(persist(2)), None);
        assert_eq!(record.failed(Ticket(1), 1600), Some(persist(2)));
    }
}
