//! Whether keys are there, deleting, naming and copying them.

use crate::commands::connection;
use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer_32, integer_or, is_word};
use crate::commands::{CommandError, Ctx};
use crate::config::Name;
use crate::notify::EventClass;

const SAME_OBJECT: CommandError =
    CommandError::new("ERR source and destination objects are the same");

/// `DEL key...` and `UNLINK key...`: large values are freed later in both.
pub(super) fn del(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let mut removed = 0;
    for key in args.iter().skip(1) {
        if ctx.keys().remove(key) {
            ctx.touched(key);
            ctx.notify(EventClass::Generic, "del", key);
            removed += 1;
        }
    }
    if removed > 0 {
        ctx.effect_verbatim();
    }
    ctx.reply.integer(removed);
    DONE
}

/// `EXISTS key...`
pub(super) fn exists(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let count = args.iter().skip(1).filter(|key| ctx.keys().contains(key)).count();
    ctx.reply.integer(count as i64);
    DONE
}

/// `TOUCH key...`
pub(super) fn touch(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (db, now_ms) = (ctx.db, ctx.now_ms);
    // This one is a use even for a client that otherwise leaves no trace.
    let used = |key: &&&[u8]| ctx.core.store.get(db, key, now_ms).is_some();
    let count = args.iter().skip(1).filter(used).count();
    ctx.reply.integer(count as i64);
    DONE
}

/// `TYPE key`
pub(super) fn type_of(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (db, now_ms) = (ctx.db, ctx.now_ms);
    let value = ctx.core.store.get_quietly(db, args[1], now_ms);
    ctx.reply.simple(value.map_or("none", |value| value.value_type().name()));
    DONE
}

/// `RANDOMKEY`
pub(super) fn randomkey(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Ended {
    match ctx.core.store.random_key(ctx.db, ctx.now_ms) {
        Some(key) => ctx.reply.bulk(&key),
        None => ctx.reply.null(),
    }
    DONE
}

/// Renames; false when the new name is taken and must not be.
fn rename_to(
    ctx: &mut Ctx<'_>,
    from: &[u8],
    to: &[u8],
    replace: bool,
) -> Result<bool, CommandError> {
    let (db, now_ms) = (ctx.db, ctx.now_ms);
    if !ctx.keys().contains(from) {
        return Err(CommandError::NO_SUCH_KEY);
    }
    if from == to {
        return Ok(false);
    }
    if ctx.keys().contains(to) && !replace {
        return Ok(false);
    }
    if let Some((value, expiry_ms)) = ctx.core.store.take(db, from, now_ms) {
        // The new name begins without a trace of the key that had it before.
        ctx.keys().remove(to);
        ctx.keys().set(to, value, expiry_ms);
        ctx.touched(from);
        ctx.touched(to);
        ctx.effect_verbatim();
        ctx.notify(EventClass::Generic, "rename_from", from);
        ctx.notify(EventClass::Generic, "rename_to", to);
    }
    Ok(true)
}

/// `RENAME key name`
pub(super) fn rename(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    rename_to(ctx, args[1], args[2], true)?;
    ctx.reply.ok();
    DONE
}

/// `RENAMENX key name`
pub(super) fn renamenx(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let renamed = rename_to(ctx, args[1], args[2], false)?;
    ctx.reply.integer(i64::from(renamed));
    DONE
}

fn database(ctx: &Ctx<'_>, arg: &[u8]) -> Result<usize, CommandError> {
    connection::database(ctx.core, i64::from(integer_32(arg)?))
}

/// `MOVE key db`
pub(super) fn move_key(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let key = args[1];
    if ctx.core.is_cluster() {
        return Err(CommandError::new("ERR MOVE is not allowed in cluster mode"));
    }
    let target = database(ctx, args[2])?;
    let (db, now_ms) = (ctx.db, ctx.now_ms);
    if target == db {
        return Err(SAME_OBJECT);
    }
    let store = &mut ctx.core.store;
    let moved = store.contains(db, key, now_ms) && !store.contains(target, key, now_ms);
    if moved && let Some((value, expiry_ms)) = store.take(db, key, now_ms) {
        store.insert(target, key, value, expiry_ms, now_ms);
        ctx.touched(key);
        ctx.touched_in(target, key);
        ctx.effect_verbatim();
        ctx.notify_in(target, EventClass::New, "new", key);
        ctx.notify(EventClass::Generic, "move_from", key);
        ctx.notify_in(target, EventClass::Generic, "move_to", key);
    }
    ctx.reply.integer(i64::from(moved));
    DONE
}

/// `SWAPDB db db`
pub(super) fn swapdb(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    if ctx.core.is_cluster() {
        return Err(CommandError::new("ERR SWAPDB is not allowed in cluster mode"));
    }
    let number =
        |arg, text| i32::try_from(integer_or(arg, text)?).map_err(|_| CommandError::new(text));
    let left = number(args[1], "ERR invalid first DB index")?;
    let right = number(args[2], "ERR invalid second DB index")?;
    let count = ctx.core.config.int(Name::Databases);
    if [left, right].iter().any(|db| !(0..count).contains(&i64::from(*db))) {
        return Err(CommandError::new("ERR DB index is out of range"));
    }
    let dbs = [left as usize, right as usize];
    if left != right {
        // A watched key was touched when it was there before, or is there now.
        for db in dbs {
            ctx.core.touched_all(Some(db));
        }
        ctx.core.store.swap_dbs(dbs[0], dbs[1]);
        ctx.effect_verbatim();
        for db in dbs {
            ctx.core.drop_stale_watched(db);
            ctx.core.touched_all(Some(db));
        }
    }
    ctx.reply.ok();
    DONE
}

/// `COPY key copy [DB db] [REPLACE]`
pub(super) fn copy(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (source, target) = (args[1], args[2]);
    let (db, now_ms) = (ctx.db, ctx.now_ms);
    let (mut target_db, mut replace) = (db, false);
    let mut at = 3;
    while let Some(arg) = args.get(at) {
        if is_word(arg, "REPLACE") {
            replace = true;
        } else if is_word(arg, "DB") && at + 1 < args.len() {
            at += 1;
            target_db = database(ctx, args[at])?;
        } else {
            return Err(CommandError::SYNTAX);
        }
        at += 1;
    }
    if ctx.core.is_cluster() && (db != 0 || target_db != 0) {
        return Err(CommandError::new(
            "ERR Copying to another database is not allowed in cluster mode",
        ));
    }
    if db == target_db && source == target {
        return Err(SAME_OBJECT);
    }
    let value = ctx.keys().value(source).cloned();
    let taken = ctx.core.store.contains(target_db, target, now_ms);
    let Some(value) = value.filter(|_| replace || !taken) else {
        ctx.reply.integer(0);
        return DONE;
    };
    let expiry_ms = ctx.keys().expiry_ms(source).flatten();
    ctx.core.store.remove(target_db, target, now_ms);
    ctx.core.store.insert(target_db, target, value, expiry_ms, now_ms);
    ctx.touched_in(target_db, target);
    ctx.effect_verbatim();
    ctx.notify_in(target_db, EventClass::New, "new", target);
    ctx.notify_in(target_db, EventClass::Generic, "copy_to", target);
    ctx.reply.integer(1);
    DONE
}
