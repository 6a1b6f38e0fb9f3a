//! Looking at members: scores, places, members by chance and in steps.

use holdfast_store::random::Random;
use holdfast_store::sorted_set::SortedSet;
use holdfast_wire::resp::ReplyBuf;

use crate::commands::generic::scan::{ScanOptions, write_scan};
use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::is_word;
use crate::commands::sample::{distinct, wished};
use crate::commands::{CommandError, Ctx};

/// Opens a reply of members: pairs are arrays of two in RESP3, and follow each other in RESP2.
pub(in crate::commands) fn open(reply: &mut ReplyBuf, members: usize, with_scores: bool) {
    let flat = with_scores && !reply.is_resp3();
    reply.array(if flat { members * 2 } else { members });
}

/// Writes one member of such a reply.
pub(in crate::commands) fn write(
    reply: &mut ReplyBuf,
    member: &[u8],
    score: f64,
    with_scores: bool,
) {
    if with_scores && reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(member);
    if with_scores {
        reply.double(score);
    }
}

/// `ZCARD key`
pub(super) fn zcard(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let len = ctx.keys().sorted_set(args[1])?.map_or(0, SortedSet::len);
    ctx.reply.integer(len as i64);
    DONE
}

fn score_or_null(reply: &mut ReplyBuf, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

/// `ZSCORE key member`
pub(super) fn zscore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let score = keys.sorted_set(args[1])?.and_then(|set| set.score(args[2]));
    score_or_null(reply, score);
    DONE
}

/// `ZMSCORE key member...`
pub(super) fn zmscore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let set = keys.sorted_set(args[1])?;
    reply.array(args.len() - 2);
    for member in args.iter().skip(2) {
        score_or_null(reply, set.and_then(|set| set.score(member)));
    }
    DONE
}

fn rank(ctx: &mut Ctx<'_>, args: &[&[u8]], backwards: bool) -> Ended {
    let with_score = match args.get(3..).unwrap_or_default() {
        [] => false,
        [word] if is_word(word, "WITHSCORE") => true,
        _ => return Err(CommandError::SYNTAX),
    };
    let (mut keys, reply) = ctx.split();
    let set = keys.sorted_set(args[1])?;
    let found = set.and_then(|set| {
        let (place, score) = set.rank(args[2])?;
        Some((if backwards { set.len() - 1 - place } else { place }, score))
    });
    match found {
        Some((place, score)) => {
            if with_score {
                reply.array(2);
            }
            reply.integer(place as i64);
            if with_score {
                reply.double(score);
            }
        }
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    DONE
}

/// `ZRANK key member [WITHSCORE]`
pub(super) fn zrank(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    rank(ctx, args, false)
}

/// `ZREVRANK key member [WITHSCORE]`
pub(super) fn zrevrank(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    rank(ctx, args, true)
}

/// `ZRANDMEMBER key [count [WITHSCORES]]`
pub(super) fn zrandmember(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let wish = args.get(2).map(|arg| wished(arg)).transpose()?;
    let with_scores = match args.get(3..).unwrap_or_default() {
        [] => false,
        [word] if is_word(word, "WITHSCORES") => true,
        _ => return Err(CommandError::SYNTAX),
    };
    if with_scores && wish.is_some_and(|(wanted, _)| wanted > (i64::MAX / 2) as usize) {
        return Err(CommandError::new("ERR value is out of range"));
    }
    let mut random = Random::new(ctx.core.store.random().next_u64());
    let (mut keys, reply) = ctx.split();
    let Some(set) = keys.sorted_set(args[1])? else {
        match wish {
            Some(_) => reply.array(0),
            None => reply.null(),
        }
        return DONE;
    };
    let draw = |random: &mut Random| random.below(set.len() as u64) as usize;
    let places = match wish {
        None => vec![draw(&mut random)],
        Some((wanted, true)) => (0..wanted).map(|_| draw(&mut random)).collect(),
        Some((wanted, false)) => {
            let len = set.len();
            distinct(len, wanted, &mut random, 0..len, |random| Some(draw(random)))
        }
    };
    if wish.is_some() {
        open(reply, places.len(), with_scores);
    }
    for place in places {
        for (member, score) in set.range(place, 1) {
            write(reply, &member, score, with_scores);
        }
    }
    DONE
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT n]`
pub(super) fn zscan(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let cursor = ScanOptions::parse_cursor(args[2])?;
    let mut keys = ctx.keys();
    let Some(set) = keys.sorted_set(args[1])? else {
        // Redis looks at the key before it looks at the options.
        write_scan(ctx.reply, 0, &[]);
        return DONE;
    };
    let options = ScanOptions::parse(args, 3, false)?;
    let (cursor, found) = options.walk(cursor, 2, |cursor, found| {
        set.scan(cursor, |member, score| {
            if options.fits(member) {
                // The score is a bulk string in both protocols.
                found.extend([member.to_vec(), set.score_text(score)]);
            }
        })
    });
    write_scan(ctx.reply, cursor, &found);
    DONE
}
