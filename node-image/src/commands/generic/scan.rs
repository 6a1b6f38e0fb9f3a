//! Walking the keys of a database.
//!
//! A step of SCAN looks at about COUNT buckets' worth of keys. Where a pattern or a type leaves
//! little over, it goes on for ten times as many, then returns with what there is.

use holdfast_store::glob;
use holdfast_store::number::parse_u64;
use holdfast_wire::resp::ReplyBuf;

use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, is_word};
use crate::commands::{CommandError, Ctx};

/// What a step of SCAN or of a sister is asked for.
pub(in crate::commands) struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    type_name: Option<&'a [u8]>,
    /// About so many elements are wished for.
    pub(in crate::commands) count: usize,
}

impl<'a> ScanOptions<'a> {
    /// A cursor, in the C library's notation: nothing is 0, and a sign is allowed.
    pub(in crate::commands) fn parse_cursor(arg: &[u8]) -> Result<u64, CommandError> {
        let (negative, digits) = match arg {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, arg),
        };
        let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
        let number = match digits.get(zeros..).unwrap_or_default() {
            b"" if arg.is_empty() || zeros > 0 => Some(0),
            significant => parse_u64(significant),
        };
        let number = number.ok_or(CommandError::new("ERR invalid cursor"))?;
        Ok(if negative { number.wrapping_neg() } else { number })
    }

    /// The options from argument `first` on.
    pub(in crate::commands) fn parse(
        args: &'a [&'a [u8]],
        first: usize,
        may_name_type: bool,
    ) -> Result<Self, CommandError> {
        let mut options = Self { pattern: None, type_name: None, count: 10 };
        let (pairs, rest) = args.get(first..).unwrap_or_default().as_chunks::<2>();
        for [word, argument] in pairs {
            if is_word(word, "COUNT") {
                let count = integer(argument)?;
                if count < 1 {
                    return Err(CommandError::SYNTAX);
                }
                options.count = count as usize;
            } else if is_word(word, "MATCH") {
                options.pattern = (*argument != b"*").then_some(argument);
            } else if is_word(word, "TYPE") && may_name_type {
                options.type_name = Some(argument);
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        if rest.is_empty() { Ok(options) } else { Err(CommandError::SYNTAX) }
    }

    /// Whether a name fits the pattern.
    pub(in crate::commands) fn fits(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name))
    }

    /// Walks a collection on from a cursor, until enough is found: `step` looks at a little more,
    /// keeps what fits, and gives the next cursor. Each element is `parts` entries of what is kept.
    pub(in crate::commands) fn walk(
        &self,
        mut cursor: u64,
        parts: usize,
        mut step: impl FnMut(u64, &mut Vec<Vec<u8>>) -> u64,
    ) -> (u64, Vec<Vec<u8>>) {
        let mut found = Vec::new();
        for _ in 0..self.steps() {
            cursor = step(cursor, &mut found);
            if cursor == 0 || found.len() / parts >= self.count {
                break;
            }
        }
        (cursor, found)
    }

    /// Buckets to look at, at most.
    fn steps(&self) -> usize {
        self.count.saturating_mul(10)
    }
}

/// The reply of SCAN and its sisters.
pub(in crate::commands) fn write_scan(reply: &mut ReplyBuf, cursor: u64, found: &[Vec<u8>]) {
    reply.array(2);
    reply.bulk(cursor.to_string().as_bytes());
    reply.array(found.len());
    for entry in found {
        reply.bulk(entry);
    }
}

/// `SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]`
pub(super) fn scan(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let cursor = ScanOptions::parse_cursor(args[1])?;
    let options = ScanOptions::parse(args, 2, true)?;
    let (db, now_ms) = (ctx.db, ctx.now_ms);
    let mut expired: Vec<Vec<u8>> = Vec::new();
    let (cursor, found) = options.walk(cursor, 1, |cursor, found| {
        ctx.core.store.scan(db, cursor, 1, |view| {
            let type_name = view.value_type().name();
            let other_type = options.type_name.is_some_and(|wanted| !is_word(wanted, type_name));
            if other_type || !options.fits(view.key) {
                return;
            }
            let list = if view.is_expired(now_ms) { &mut expired } else { &mut *found };
            list.push(view.key.to_vec());
        })
    });
    // Looking at them removes those whose time has come, where this node may.
    for key in &expired {
        ctx.keys().contains(key);
    }
    write_scan(ctx.reply, cursor, &found);
    DONE
}

/// `KEYS pattern`
pub(super) fn keys(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let now_ms = ctx.now_ms;
    let mark = ctx.reply.mark();
    let mut count = 0;
    for view in ctx.core.store.keys(ctx.db) {
        if glob::matches(args[1], view.key) && !view.is_expired(now_ms) {
            ctx.reply.bulk(view.key);
            count += 1;
        }
    }
    ctx.reply.array_at(mark, count);
    DONE
}
