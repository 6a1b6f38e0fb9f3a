//! The replies of one client on their way out, in order.
//!
//! A queue of segments. A segment of bytes may depend on an offset of the effect log and leaves
//! when the log has been released up to there; a promised segment leaves when its reply has come.
//! What stands behind a segment that waits, waits too:
//!
//!   sealed: [bytes, after 120] [promised #7] [bytes, after 200]   open: bytes, after 200
//!
//! New bytes go to `open`, which is sealed only when its dependency changes, so that a pipeline of
//! a thousand small replies is one buffer and one write. Not known here: sockets, other clients.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::ops::Deref;
use std::sync::Arc;

use crate::commands::AnswerToken;

/// Buffers of one `writev`.
const SLICES_MAX: usize = 64;

/// An open buffer that has grown beyond this is given back once it is empty.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a segment: its own, or those that several clients get.
#[derive(Debug)]
enum Bytes {
    Own(Vec<u8>),
    Shared(Arc<Vec<u8>>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Own(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

#[derive(Debug)]
enum Segment {
    Bytes { bytes: Bytes, after: u64 },
    Promised(AnswerToken),
}

/// The queue.
#[derive(Debug, Default)]
pub struct Output {
    sealed: VecDeque<Segment>,
    open: Vec<u8>,
    open_after: u64,
    /// Bytes of the first segment that have been written.
    written: usize,
    sealed_bytes: usize,
}

impl Output {
    /// Takes the open buffer, to write replies at its end. Replies in it that depend on another
    /// offset than `after` are sealed first, so that they do not wait longer than they must.
    pub fn take_open(&mut self, after: u64) -> Vec<u8> {
        if !self.open.is_empty() && self.open_after != after {
            self.seal();
        }
        std::mem::take(&mut self.open)
    }

    /// Puts the open buffer back; all of it depends on `after` now.
    pub fn put_open(&mut self, bytes: Vec<u8>, after: u64) {
        self.open = bytes;
        self.open_after = after;
    }

    /// Adds bytes that depend on `after`.
    pub fn push(&mut self, bytes: &[u8], after: u64) {
        let mut open = self.take_open(after);
        open.extend_from_slice(bytes);
        self.put_open(open, after);
    }

    /// Adds a large buffer without a copy.
    pub fn push_owned(&mut self, bytes: Vec<u8>, after: u64) {
        self.seal();
        self.push_sealed(Bytes::Own(bytes), after);
    }

    /// Adds a buffer that others get as well, without a copy.
    pub fn push_shared(&mut self, bytes: Arc<Vec<u8>>, after: u64) {
        self.seal();
        self.push_sealed(Bytes::Shared(bytes), after);
    }

    fn push_sealed(&mut self, bytes: Bytes, after: u64) {
        self.sealed_bytes += bytes.len();
        self.sealed.push_back(Segment::Bytes { bytes, after });
    }

    /// Keeps a place for a reply that comes later.
    pub fn promise(&mut self, token: AnswerToken) {
        self.seal();
        self.sealed.push_back(Segment::Promised(token));
    }

    /// Fills the place; false when there is none.
    pub fn keep_promise(&mut self, token: AnswerToken, bytes: Vec<u8>, after: u64) -> bool {
        for segment in &mut self.sealed {
            if matches!(segment, Segment::Promised(waiting) if *waiting == token) {
                self.sealed_bytes += bytes.len();
                *segment = Segment::Bytes { bytes: Bytes::Own(bytes), after };
                return true;
            }
        }
        false
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            let bytes = std::mem::take(&mut self.open);
            self.push_sealed(Bytes::Own(bytes), self.open_after);
        }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.sealed_bytes - self.written + self.open.len()
    }

    /// True when nothing waits, not even for a promised reply.
    pub fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.open.is_empty()
    }

    /// Segments that wait.
    pub fn segments(&self) -> usize {
        self.sealed.len() + usize::from(!self.open.is_empty())
    }

    /// True when there is something that may leave now.
    pub fn can_write(&self, released: u64) -> bool {
        match self.sealed.front() {
            Some(Segment::Bytes { after, .. }) => *after <= released,
            Some(Segment::Promised(_)) => false,
            None => !self.open.is_empty() && self.open_after <= released,
        }
    }

    /// Writes what may leave, until the socket is full. Gives the number of bytes.
    pub fn write_to(&mut self, socket: &mut impl Write, released: u64) -> io::Result<usize> {
        let mut total = 0;
        while self.can_write(released) {
            let written = {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let count = self.fill_slices(&mut slices, released);
                match socket.write_vectored(slices.get(..count).unwrap_or_default()) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => written,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            };
            total += written;
            self.advance(written);
        }
        Ok(total)
    }

    fn fill_slices<'a>(&'a self, slices: &mut [IoSlice<'a>], released: u64) -> usize {
        let mut skip = self.written;
        let mut count = 0;
        let mut places = slices.iter_mut();
        for segment in &self.sealed {
            match segment {
                Segment::Bytes { bytes, after } if *after <= released => {
                    let Some(place) = places.next() else { return count };
                    *place = IoSlice::new(bytes.get(skip..).unwrap_or_default());
                    skip = 0;
                    count += 1;
                }
                _ => return count,
            }
        }
        if !self.open.is_empty()
            && self.open_after <= released
            && let Some(place) = places.next()
        {
            *place = IoSlice::new(self.open.get(skip..).unwrap_or_default());
            count += 1;
        }
        count
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        while let Some(Segment::Bytes { bytes, .. }) = self.sealed.front() {
            if self.written < bytes.len() {
                return;
            }
            self.written -= bytes.len();
            self.sealed_bytes -= bytes.len();
            self.sealed.pop_front();
        }
        if self.written == 0 {
            return;
        }
        if self.written >= self.open.len() {
            self.written = 0;
            self.open.clear();
        } else {
            // The rest becomes a segment, so that `written` always speaks of the first one.
            self.seal();
        }
    }

    /// Gives back the open buffer when it is empty and has grown large.
    pub fn give_back(&mut self) {
        if self.open.is_empty() && self.open.capacity() > KEPT_BYTES_MAX {
            self.open = Vec::new();
        }
    }

    /// Bytes that the open buffer has room for.
    pub fn open_capacity(&self) -> usize {
        self.open.capacity()
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self) {
        *self = Output::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that takes a few bytes at a time.
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.taken.extend_from_slice(bytes.get(..count).unwrap());
            Ok(count)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn wide() -> Narrow {
        Narrow { taken: Vec::new(), room: usize::MAX }
    }

    #[test]
    fn a_reply_waits_for_its_offset_and_those_behind_it_wait_too() {
        let mut output = Output::default();
        output.push(b"a", 0);
        output.push(b"b", 10);
        output.push(b"c", 0);
        let mut socket = wide();
        output.write_to(&mut socket, 9).unwrap();
        assert_eq!(socket.taken, b"a");
        output.write_to(&mut socket, 10).unwrap();
        assert_eq!(socket.taken, b"abc");
        assert!(output.is_empty());
    }

    #[test]
    fn a_promised_reply_keeps_its_place() {
        let mut output = Output::default();
        output.push(b"a", 0);
        output.promise(AnswerToken(7));
        output.push(b"c", 0);
        let mut socket = wide();
        output.write_to(&mut socket, u64::MAX).unwrap();
        assert_eq!(socket.taken, b"a");
        assert!(!output.keep_promise(AnswerToken(8), b"x".to_vec(), 0));
        assert!(output.keep_promise(AnswerToken(7), b"b".to_vec(), 0));
        output.write_to(&mut socket, u64::MAX).unwrap();
        assert_eq!(socket.taken, b"abc");
    }

    #[test]
    fn short_writes_lose_nothing_and_the_length_stays_right() {
        let mut output = Output::default();
        let mut wanted = Vec::new();
        let mut socket = Narrow { taken: Vec::new(), room: 0 };
        for round in 0..200_u64 {
            let bytes = vec![round as u8; (round % 17) as usize];
            wanted.extend_from_slice(&bytes);
            if round % 5 == 0 {
                output.push_owned(bytes, round / 20);
            } else if round % 7 == 0 {
                output.push_shared(bytes.into(), round / 20);
            } else {
                output.push(&bytes, round / 20);
            }
            socket.room = (round % 11) as usize;
            output.write_to(&mut socket, u64::MAX).unwrap();
            assert_eq!(output.len(), wanted.len() - socket.taken.len());
        }
        socket.room = usize::MAX;
        output.write_to(&mut socket, u64::MAX).unwrap();
        assert_eq!(socket.taken, wanted);
        assert_eq!(output.len(), 0);
    }
}
