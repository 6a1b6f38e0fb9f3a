//! Adding, removing, moving and listing the members of one set.

use holdfast_store::Limits;
use holdfast_store::set::Set;

use crate::commands::Ctx;
use crate::commands::generic::scan::{ScanOptions, write_scan};
use crate::commands::keyspace::{DONE, Ended, Missing};
use crate::notify::EventClass;

/// `SADD key member...`
pub(super) fn sadd(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let added = ctx.keys().change_set(args[1], Missing::Create, |set, limits| {
        args.iter().skip(2).filter(|member| set.insert(member, limits)).count()
    })?;
    let added = added.unwrap_or(0);
    if added > 0 {
        ctx.changed(args[1]);
        ctx.notify(EventClass::Set, "sadd", args[1]);
    }
    ctx.reply.integer(added as i64);
    DONE
}

/// `SREM key member...`
pub(super) fn srem(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let removed = ctx.keys().change_set(args[1], Missing::Skip, |set, _| {
        args.iter().skip(2).filter(|member| set.remove(member)).count()
    })?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        ctx.changed(args[1]);
        ctx.notify(EventClass::Set, "srem", args[1]);
        ctx.notify_if_gone(args[1]);
    }
    ctx.reply.integer(removed as i64);
    DONE
}

/// `SMOVE source target member`
pub(super) fn smove(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (source, target, member) = (args[1], args[2], args[3]);
    let mut keys = ctx.keys();
    let Some(from) = keys.set_of(source)? else {
        ctx.reply.integer(0);
        return DONE;
    };
    let contained = from.contains(member);
    // Both must be sets before anything is taken.
    keys.set_of(target)?;
    if contained && source != target {
        keys.change_set(source, Missing::Skip, |set, _| set.remove(member))?;
        let add = |set: &mut Set, limits: &Limits| set.insert(member, limits);
        let added = keys.change_set(target, Missing::Create, add)?.unwrap_or(false);
        ctx.changed(source);
        ctx.notify(EventClass::Set, "srem", source);
        ctx.notify_if_gone(source);
        if added {
            ctx.touched(target);
            ctx.notify(EventClass::Set, "sadd", target);
        }
    }
    ctx.reply.integer(i64::from(contained));
    DONE
}

/// `SCARD key`
pub(super) fn scard(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let len = ctx.keys().set_of(args[1])?.map_or(0, Set::len);
    ctx.reply.integer(len as i64);
    DONE
}

/// `SISMEMBER key member`
pub(super) fn sismember(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let contained = ctx.keys().set_of(args[1])?.is_some_and(|set| set.contains(args[2]));
    ctx.reply.integer(i64::from(contained));
    DONE
}

/// `SMISMEMBER key member...`
pub(super) fn smismember(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let set = keys.set_of(args[1])?;
    reply.array(args.len() - 2);
    for member in args.iter().skip(2) {
        reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    DONE
}

/// `SMEMBERS key`
pub(super) fn smembers(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let set = keys.set_of(args[1])?;
    reply.set(set.map_or(0, Set::len));
    set.into_iter().flat_map(Set::iter).for_each(|member| reply.bulk(&member));
    DONE
}

/// `SSCAN key cursor [MATCH pattern] [COUNT n]`
pub(super) fn sscan(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let cursor = ScanOptions::parse_cursor(args[2])?;
    let mut keys = ctx.keys();
    let Some(set) = keys.set_of(args[1])? else {
        // Redis looks at the key before it looks at the options.
        write_scan(ctx.reply, 0, &[]);
        return DONE;
    };
    let options = ScanOptions::parse(args, 3, false)?;
    let (cursor, found) = options.walk(cursor, 1, |cursor, found| {
        set.scan(cursor, |member| {
            if options.fits(member) {
                found.push(member.to_vec());
            }
        })
    });
    write_scan(ctx.reply, cursor, &found);
    DONE
}
