//! Appending and trimming.
//!
//! Replicas get the id that was made, and an exact length or an exact least id where the client
//! left it to the server how much goes.
//!
//! Not known here: readers; those who wait are woken by the touched key.

use std::borrow::Cow;

use holdfast_store::Limits;
use holdfast_store::stream::{ENTRY_BYTES_MAX, Stream, StreamId, Trim};

use super::access::write_id;
use super::ids::{self, NewId};
use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx, Origin};
use crate::notify::EventClass;

/// How a stream is trimmed.
#[derive(Debug, Clone, Copy)]
struct Wish {
    to: Trim,
    approximate: bool,
    /// Where the length or the id stands in the request.
    at: usize,
    limit: Option<u64>,
}

impl Wish {
    fn run(&self, stream: &mut Stream) -> u64 {
        stream.log.trim(self.to, self.approximate, self.limit)
    }

    /// The words that trim a stream to what is left of this one.
    fn exact(&self, stream: &Stream) -> String {
        match self.to {
            Trim::MaxLen(_) => stream.log.len().to_string(),
            Trim::MinId(_) => stream.log.first_id().to_string(),
        }
    }
}

#[derive(Debug, Default)]
struct Options {
    trim: Option<Wish>,
    skips_missing: bool,
    /// The id of XADD, and where it stands.
    id: Option<(NewId, usize)>,
}

impl Options {
    fn parse(ctx: &Ctx<'_>, args: &[&[u8]], is_xadd: bool) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut limit = None;
        let mut at = 2;
        while let Some(word) = args.get(at) {
            let value = args.get(at + 1);
            match value {
                _ if is_xadd && *word == b"*" => {
                    options.id = Some((NewId::Auto, at));
                    break;
                }
                Some(_) if is_word(word, "MAXLEN") || is_word(word, "MINID") => {
                    if options.trim.is_some() {
                        return Err(CommandError::new(
                            "ERR syntax error, MAXLEN and MINID options at the same time are not \
                             compatible",
                        ));
                    }
                    let wish = parse_trim(args, at)?;
                    at = wish.at;
                    options.trim = Some(wish);
                }
                Some(value) if is_word(word, "LIMIT") => {
                    let negative = CommandError::new("ERR The LIMIT argument must be >= 0.");
                    limit = Some(u64::try_from(integer(value)?).map_err(|_| negative)?);
                    at += 1;
                }
                _ if is_xadd && is_word(word, "NOMKSTREAM") => options.skips_missing = true,
                _ if is_xadd => {
                    options.id = Some((ids::new(word)?, at));
                    break;
                }
                _ => return Err(CommandError::SYNTAX),
            }
            at += 1;
        }
        options.set_limit(ctx, limit, is_xadd)?;
        Ok(options)
    }

    fn set_limit(
        &mut self,
        ctx: &Ctx<'_>,
        limit: Option<u64>,
        is_xadd: bool,
    ) -> Result<(), CommandError> {
        let Some(wish) = &mut self.trim else {
            return match limit {
                Some(1..) => Err(CommandError::new(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                )),
                _ if !is_xadd => Err(CommandError::new(
                    "ERR syntax error, XTRIM must be called with a trimming strategy",
                )),
                _ => Ok(()),
            };
        };
        // What a primary or the file says was made exact already.
        if ctx.origin != Origin::Client {
            return Ok(());
        }
        if !wish.approximate {
            return match limit {
                Some(_) => Err(CommandError::new(
                    "ERR syntax error, LIMIT cannot be used without the special ~ option",
                )),
                None => Ok(()),
            };
        }
        let entries = ctx.core.store.limits().stream_node_max_entries as u64;
        wish.limit = match (limit, entries) {
            (Some(0), _) => None,
            (Some(limit), _) => Some(limit),
            (None, 0) => Some(10_000),
            (None, entries) => Some(entries.saturating_mul(100).min(1_000_000)),
        };
        Ok(())
    }
}

fn parse_trim(args: &[&[u8]], word_at: usize) -> Result<Wish, CommandError> {
    let mark = args.get(word_at + 1).copied().filter(|_| args.len() > word_at + 2);
    let (approximate, at) = match mark {
        Some(b"~") => (true, word_at + 2),
        Some(b"=") => (false, word_at + 2),
        _ => (false, word_at + 1),
    };
    let value = args.get(at).ok_or(CommandError::SYNTAX)?;
    let to = if args.get(word_at).is_some_and(|word| is_word(word, "MAXLEN")) {
        let negative = CommandError::new("ERR The MAXLEN argument must be >= 0.");
        Trim::MaxLen(u64::try_from(integer(value)?).map_err(|_| negative)?)
    } else {
        Trim::MinId(ids::strict(value, 0)?)
    };
    Ok(Wish { to, approximate, at, limit: None })
}

/// What XADD did.
struct Added {
    id: StreamId,
    trimmed: u64,
    /// The exact length or least id, when the request had an approximate one.
    exact: Option<String>,
}

fn next_id(stream: &Stream, wanted: NewId, now_ms: i64) -> Result<StreamId, CommandError> {
    const NOT_ABOVE: CommandError = CommandError::new(
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    );
    let last = stream.log.last_id;
    let above = last.next().ok_or(CommandError::new(
        "ERR The stream has exhausted the last possible ID, unable to add more items",
    ))?;
    let id = match wanted {
        NewId::Auto => above.max(StreamId::new(now_ms as u64, 0)),
        NewId::InMs(ms) if ms == last.ms => above,
        NewId::InMs(ms) => StreamId::new(ms, 0),
        NewId::Given(id) => id,
    };
    let leaves_ms = matches!(wanted, NewId::InMs(ms) if id.ms != ms);
    if id <= last || leaves_ms { Err(NOT_ABOVE) } else { Ok(id) }
}

fn append(
    stream: &mut Stream,
    (wanted, now_ms): (NewId, i64),
    fields: &[&[u8]],
    trim: Option<Wish>,
    limits: &Limits,
) -> Result<Added, CommandError> {
    let id = next_id(stream, wanted, now_ms)?;
    if fields.iter().map(|part| part.len()).sum::<usize>() > ENTRY_BYTES_MAX {
        return Err(CommandError::new("ERR Elements are too large to be stored"));
    }
    stream.log.append(id, fields, limits);
    let trimmed = trim.map_or(0, |wish| wish.run(stream));
    let exact = trim.filter(|wish| wish.approximate).map(|wish| wish.exact(stream));
    Ok(Added { id, trimmed, exact })
}

/// The request with an exact trimming instead of an approximate one.
fn made_exact<'a>(args: &[&'a [u8]], trim: Option<Wish>, exact: String) -> Vec<Cow<'a, [u8]>> {
    let mut words: Vec<Cow<'a, [u8]>> = args.iter().map(|arg| Cow::Borrowed(*arg)).collect();
    if let Some(wish) = trim {
        if let Some(mark) = words.get_mut(wish.at - 1) {
            *mark = Cow::Borrowed(b"=");
        }
        if let Some(value) = words.get_mut(wish.at) {
            *value = Cow::Owned(exact.into_bytes());
        }
    }
    words
}

/// `XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] n [LIMIT n]] *|id field value...`
pub(super) fn xadd(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let key = args[1];
    let options = Options::parse(ctx, args, true)?;
    let arity = || CommandError::wrong_arity(ctx.command.name);
    let (wanted, id_at) = options.id.ok_or_else(arity)?;
    let fields = args.get(id_at + 1..).unwrap_or_default();
    if fields.is_empty() || !fields.len().is_multiple_of(2) {
        return Err(arity());
    }
    if wanted == NewId::Given(StreamId::MIN) {
        return Err(CommandError::new("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let mut fresh = None;
    if !ctx.keys().contains(key) {
        if options.skips_missing {
            ctx.reply.null();
            return DONE;
        }
        fresh = Some(Stream::new());
    }
    let now_ms = ctx.now_ms;
    let added = if let Some(mut stream) = fresh {
        let limits = ctx.keys().limits();
        let added = append(&mut stream, (wanted, now_ms), fields, options.trim, &limits)?;
        ctx.keys().set(key, stream, None);
        Some(added)
    } else {
        ctx.keys()
            .change_stream(key, Missing::Skip, |stream, limits| {
                append(stream, (wanted, now_ms), fields, options.trim, limits)
            })?
            .transpose()?
    };
    let Some(added) = added else { return DONE };
    ctx.touched(key);
    let id = added.id.to_string();
    match (added.exact, wanted) {
        (None, NewId::Given(_)) => ctx.effect_verbatim(),
        (exact, _) => {
            let trim = options.trim.filter(|_| exact.is_some());
            let mut words = made_exact(args, trim, exact.unwrap_or_default());
            if let Some(word) = words.get_mut(id_at) {
                *word = Cow::Borrowed(id.as_bytes());
            }
            ctx.effect(&words);
        }
    }
    ctx.notify(EventClass::Stream, "xadd", key);
    if added.trimmed > 0 {
        ctx.notify(EventClass::Stream, "xtrim", key);
    }
    write_id(ctx.reply, added.id);
    DONE
}

/// `XTRIM key MAXLEN|MINID [=|~] n [LIMIT n]`
pub(super) fn xtrim(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let key = args[1];
    let Some(wish) = Options::parse(ctx, args, false)?.trim else {
        return Err(CommandError::SYNTAX);
    };
    let gone = match ctx.keys().stream(key)? {
        None => None,
        Some(_) => ctx.keys().change_stream(key, Missing::Skip, |stream, _| {
            let gone = wish.run(stream);
            (gone, wish.exact(stream))
        })?,
    };
    let (gone, exact) = gone.unwrap_or_default();
    if gone > 0 {
        ctx.touched(key);
        if wish.approximate {
            let words = made_exact(args, Some(wish), exact);
            ctx.effect(&words);
        } else {
            ctx.effect_verbatim();
        }
        ctx.notify(EventClass::Stream, "xtrim", key);
    }
    ctx.reply.integer(gone as i64);
    DONE
}
