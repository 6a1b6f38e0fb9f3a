//! Listing, counting and deleting entries, and the last id.
//!
//! Not known here: groups.

use holdfast_store::stream::{Stream, StreamId};
use holdfast_wire::resp::ReplyBuf;

use super::access::write_entry;
use super::ids;
use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

/// `XLEN key`
pub(super) fn xlen(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let len = ctx.keys().stream(args[1])?.map_or(0, |stream| stream.log.len());
    ctx.reply.integer(len as i64);
    DONE
}

/// A count of entries; less than none is none.
pub(super) fn entry_count(arg: &[u8]) -> Result<usize, CommandError> {
    Ok(usize::try_from(integer(arg)?).unwrap_or(0))
}

/// Writes entries between two ids, at most `count`, and gives their number.
fn write_range(
    reply: &mut ReplyBuf,
    stream: &Stream,
    (start, end): (StreamId, StreamId),
    count: usize,
    backwards: bool,
) {
    let mark = reply.mark();
    let mut written = 0;
    if backwards {
        for entry in stream.log.iter_back(start, end).take(count) {
            write_entry(reply, &entry);
            written += 1;
        }
    } else {
        for entry in stream.log.iter(start, end).take(count) {
            write_entry(reply, &entry);
            written += 1;
        }
    }
    reply.array_at(mark, written);
}

fn list(ctx: &mut Ctx<'_>, args: &[&[u8]], backwards: bool) -> Ended {
    let (start, end) = if backwards { (args[3], args[2]) } else { (args[2], args[3]) };
    let range = (ids::start(start)?, ids::end(end)?);
    let mut count = None;
    let mut options = args.get(4..).unwrap_or_default();
    while let Some((word, rest)) = options.split_first() {
        match rest {
            [number, rest @ ..] if is_word(word, "COUNT") => {
                count = Some(entry_count(number)?);
                options = rest;
            }
            _ => return Err(CommandError::SYNTAX),
        }
    }
    let (mut keys, reply) = ctx.split();
    match keys.stream(args[1])? {
        None => reply.array(0),
        Some(_) if count == Some(0) => reply.null_array(),
        Some(stream) => {
            write_range(reply, stream, range, count.unwrap_or(usize::MAX), backwards);
        }
    }
    DONE
}

/// `XRANGE key start end [COUNT n]`
pub(super) fn xrange(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    list(ctx, args, false)
}

/// `XREVRANGE key end start [COUNT n]`
pub(super) fn xrevrange(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    list(ctx, args, true)
}

/// Ids, all of them.
pub(super) fn id_list(args: &[&[u8]]) -> Result<Vec<StreamId>, CommandError> {
    args.iter().map(|arg| ids::strict(arg, 0)).collect()
}

/// `XDEL key id...`
pub(super) fn xdel(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let key = args[1];
    if ctx.keys().stream(key)?.is_none() {
        ctx.reply.integer(0);
        return DONE;
    }
    let ids = id_list(args.get(2..).unwrap_or_default())?;
    let gone = ctx.keys().change_stream(key, Missing::Skip, |stream, _| {
        ids.into_iter().filter(|id| stream.log.delete(*id)).count()
    })?;
    let gone = gone.unwrap_or(0);
    if gone > 0 {
        ctx.changed_by(EventClass::Stream, "xdel", key);
    }
    ctx.reply.integer(gone as i64);
    DONE
}

/// What XSETID sets.
struct Position {
    last_id: StreamId,
    entries_added: Option<u64>,
    max_deleted_id: StreamId,
}

impl Position {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        let (id, mut options) = args.split_first().ok_or(CommandError::SYNTAX)?;
        let last_id = ids::strict(id, 0)?;
        let mut position = Self { last_id, entries_added: None, max_deleted_id: StreamId::MIN };
        while let Some((word, rest)) = options.split_first() {
            let (value, rest) = rest.split_first().ok_or(CommandError::SYNTAX)?;
            if is_word(word, "ENTRIESADDED") {
                let negative = CommandError::new("ERR entries_added must be positive");
                let number = integer(value)?;
                position.entries_added = Some(u64::try_from(number).map_err(|_| negative)?);
            } else if is_word(word, "MAXDELETEDID") {
                position.max_deleted_id = ids::strict(value, 0)?;
                if last_id < position.max_deleted_id {
                    return Err(CommandError::new(
                        "ERR The ID specified in XSETID is smaller than the provided \
                         max_deleted_entry_id",
                    ));
                }
            } else {
                return Err(CommandError::SYNTAX);
            }
            options = rest;
        }
        Ok(position)
    }

    fn check(&self, stream: &Stream) -> Result<(), CommandError> {
        let log = &stream.log;
        if log.is_empty() {
            return Ok(());
        }
        if self.last_id < log.last_entry_id() {
            return Err(CommandError::new(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if self.entries_added.is_some_and(|added| log.len() > added) {
            return Err(CommandError::new(
                "ERR The entries_added specified in XSETID is smaller than the target stream \
                 length",
            ));
        }
        Ok(())
    }
}

/// `XSETID key last-id [ENTRIESADDED n] [MAXDELETEDID id]`
pub(super) fn xsetid(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let key = args[1];
    let position = Position::parse(args.get(2..).unwrap_or_default())?;
    let stream = ctx.keys().stream(key)?.map(|stream| position.check(stream));
    stream.ok_or(CommandError::NO_SUCH_KEY)??;
    ctx.keys().change_stream(key, Missing::Skip, |stream, _| {
        let log = &mut stream.log;
        log.last_id = position.last_id;
        log.entries_added = position.entries_added.unwrap_or(log.entries_added);
        if position.max_deleted_id != StreamId::MIN {
            log.max_deleted_id = position.max_deleted_id;
        }
    })?;
    ctx.changed_by(EventClass::Stream, "xsetid", key);
    ctx.reply.ok();
    DONE
}
