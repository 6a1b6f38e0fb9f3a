//! Fields chosen by chance, and fields in steps.

use holdfast_store::random::Random;
use holdfast_wire::resp::ReplyBuf;

use crate::commands::generic::scan::{ScanOptions, write_scan};
use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, is_word};
use crate::commands::sample::distinct;
use crate::commands::{CommandError, Ctx};

type Pair<'a> = (&'a [u8], &'a [u8]);

/// `HRANDFIELD key [count [WITHVALUES]]`
pub(super) fn hrandfield(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let Some(count) = args.get(2) else { return one_field(ctx, args[1]) };
    let count = integer(count)?;
    if count == i64::MIN {
        return Err(CommandError::new(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        ));
    }
    let with_values = match args.len() {
        3 => false,
        4 if is_word(args[3], "WITHVALUES") => true,
        _ => return Err(CommandError::SYNTAX),
    };
    if with_values && count.unsigned_abs() > (i64::MAX / 2) as u64 {
        return Err(CommandError::new("ERR value is out of range"));
    }
    let mut random = Random::new(ctx.core.store.random().next_u64());
    let most = ctx.reply_bytes_max();
    let (mut keys, reply) = ctx.split();
    let Some(hash) = keys.hash(args[1])? else {
        reply.array(0);
        return DONE;
    };
    let wanted = count.unsigned_abs() as usize;
    if count < 0 {
        open(reply, wanted, with_values);
        for _ in 0..wanted {
            if reply.len() > most {
                break;
            }
            if let Some(pair) = hash.random(|| random.next_u64()) {
                write(reply, pair, with_values);
            }
        }
    } else {
        let draw = |random: &mut Random| hash.random(|| random.next_u64());
        let chosen = distinct(hash.len(), wanted, &mut random, hash.iter(), draw);
        open(reply, chosen.len(), with_values);
        for pair in chosen {
            write(reply, pair, with_values);
        }
    }
    DONE
}

fn one_field(ctx: &mut Ctx<'_>, key: &[u8]) -> Ended {
    let mut random = Random::new(ctx.core.store.random().next_u64());
    let (mut keys, reply) = ctx.split();
    match keys.hash(key)?.and_then(|hash| hash.random(|| random.next_u64())) {
        Some((field, _)) => reply.bulk(field),
        None => reply.null(),
    }
    DONE
}

/// Pairs are arrays of two in RESP3, and follow each other in RESP2.
fn open(reply: &mut ReplyBuf, pairs: usize, with_values: bool) {
    let flat = with_values && !reply.is_resp3();
    reply.array(if flat { pairs * 2 } else { pairs });
}

fn write(reply: &mut ReplyBuf, (field, value): Pair<'_>, with_values: bool) {
    if with_values && reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(field);
    if with_values {
        reply.bulk(value);
    }
}

/// `HSCAN key cursor [MATCH pattern] [COUNT n]`
pub(super) fn hscan(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let cursor = ScanOptions::parse_cursor(args[2])?;
    let mut keys = ctx.keys();
    let Some(hash) = keys.hash(args[1])? else {
        // Redis looks at the key before it looks at the options.
        write_scan(ctx.reply, 0, &[]);
        return DONE;
    };
    let options = ScanOptions::parse(args, 3, false)?;
    let (cursor, found) = options.walk(cursor, 2, |cursor, found| {
        hash.scan(cursor, |field, value| {
            if options.fits(field) {
                found.extend([field.to_vec(), value.to_vec()]);
            }
        })
    });
    write_scan(ctx.reply, cursor, &found);
    DONE
}
