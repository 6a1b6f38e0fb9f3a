//! Commands of the family "hyperloglog".
//!
//! PFCOUNT of one key keeps its answer in the value, as Redis does, so that the next one costs
//! nothing; a primary tells its replicas, so that both hold the same bytes. Where writes are not
//! allowed now it only answers. Not known here: what the bytes mean.

use holdfast_store::StringValue;
use holdfast_store::hyperloglog::{self as hll, Corrupt, REGISTERS};

use super::keyspace::{DONE, Ended};
use super::spec::KeyUse;
use super::{Command, CommandError, Ctx, Flags, Group, KeySpec};
use crate::config::Name;

const HYPERLOGLOG: Command = Command { group: Group::HyperLogLog, ..Command::BLANK };

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "pfadd",
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::one(1, KeyUse::Insert)],
        since: "2.8.9",
        summary: "Adds elements to a HyperLogLog.",
        complexity: "O(1) to add every element.",
        handler: pfadd,
        ..HYPERLOGLOG
    },
    Command {
        name: "pfcount",
        arity: -2,
        flags: Flags::READONLY.and(Flags::MAY_REPLICATE),
        keys: &[KeySpec::rest(1, 1, KeyUse::Refresh)],
        since: "2.8.9",
        summary: "Estimates how many different elements were added to HyperLogLogs.",
        complexity: "O(1) for one key whose estimate is kept, O(N) for N keys",
        handler: pfcount,
        ..HYPERLOGLOG
    },
    Command {
        name: "pfdebug",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::ADMIN),
        keys: &[KeySpec::one(2, KeyUse::Refresh)],
        since: "2.8.9",
        summary: "Shows how a HyperLogLog is kept.",
        complexity: "N/A",
        handler: pfdebug,
        ..HYPERLOGLOG
    },
    Command {
        name: "pfmerge",
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::one(1, KeyUse::Merge), KeySpec::rest(2, 1, KeyUse::Read)],
        since: "2.8.9",
        summary: "Merges HyperLogLogs into one.",
        complexity: "O(N) to merge N HyperLogLogs, but with high constant times.",
        handler: pfmerge,
        ..HYPERLOGLOG
    },
    Command {
        name: "pfselftest",
        arity: 1,
        flags: Flags::ADMIN,
        since: "2.8.9",
        summary: "Tests HyperLogLogs: both forms agree, estimates are near.",
        complexity: "N/A",
        handler: pfselftest,
        ..HYPERLOGLOG
    },
];

const NOT_ONE: CommandError =
    CommandError::new("WRONGTYPE Key is not a valid HyperLogLog string value.");

impl From<Corrupt> for CommandError {
    fn from(_: Corrupt) -> Self {
        CommandError::new("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// Shows the HyperLogLog of a key; `None` without the key.
fn read<R>(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    look: impl FnOnce(&[u8]) -> R,
) -> Result<Option<R>, CommandError> {
    let mut keys = ctx.keys();
    let Some(string) = keys.string(key)? else { return Ok(None) };
    let text = string.text();
    hll::check(&text).map_err(|_| NOT_ONE)?;
    Ok(Some(look(&text)))
}

/// Changes the bytes of a HyperLogLog that is there and was checked.
fn change<R>(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    change: impl FnOnce(&mut Vec<u8>) -> Result<R, Corrupt>,
) -> Result<R, CommandError> {
    let mut result = Err(Corrupt);
    ctx.keys().change_bytes(key, |bytes| result = change(bytes))?;
    Ok(result?)
}

/// Creates an empty one where there is none: whether it did.
fn create(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<bool, CommandError> {
    if read(ctx, key, |_| ())?.is_some() {
        return Ok(false);
    }
    ctx.keys().set(key, StringValue::Raw(hll::new()), None);
    Ok(true)
}

fn sparse_bytes_max(ctx: &Ctx<'_>) -> usize {
    ctx.core.config.size(Name::HllSparseMaxBytes)
}

/// `PFADD key [element ...]`
fn pfadd(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (key, elements) = (args[1], args.get(2..).unwrap_or_default());
    let limit = sparse_bytes_max(ctx);
    let created = create(ctx, key)?;
    let changed = change(ctx, key, |bytes| {
        let mut changed = false;
        for element in elements {
            changed |= hll::add(bytes, element, limit)?;
        }
        if created || changed {
            hll::forget_cached(bytes);
        }
        Ok(changed)
    })?;
    if created || changed {
        ctx.changed(key);
    }
    ctx.reply.integer(i64::from(created || changed));
    DONE
}

/// `PFCOUNT key [key ...]`
fn pfcount(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let count = match args {
        [_, key] => count_one(ctx, key)?,
        _ => {
            let mut registers = [0; REGISTERS];
            for key in args.iter().skip(1) {
                read(ctx, key, |bytes| hll::merge_into(&mut registers, bytes))?.transpose()?;
            }
            hll::cardinality_of(&registers)
        }
    };
    ctx.reply.integer(count as i64);
    DONE
}

fn count_one(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<u64, CommandError> {
    let found = read(ctx, key, |bytes| match hll::cached(bytes) {
        Some(count) => Ok::<_, Corrupt>((count, true)),
        None => Ok((hll::cardinality(bytes)?, false)),
    })?;
    let Some((count, was_cached)) = found.transpose()? else {
        return Ok(0);
    };
    // Keys on their way to another node stay as they are.
    if was_cached || !ctx.core.migrations.locks.is_empty() {
        return Ok(count);
    }
    // The primary knows nothing of a question to its replica; its next PFADD makes the answer
    // stale here too.
    let is_replica = ctx.core.replication.is_replica();
    if is_replica || crate::aof::refuse_write(ctx.core).is_none() {
        change(ctx, key, |bytes| {
            hll::cache(bytes, count);
            Ok(())
        })?;
        if !is_replica {
            ctx.changed(key);
        }
    }
    Ok(count)
}

/// `PFMERGE target [key ...]`: the target's own elements stay.
fn pfmerge(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let target = args[1];
    let limit = sparse_bytes_max(ctx);
    let mut registers = [0; REGISTERS];
    let mut dense = false;
    for key in args.iter().skip(1) {
        read(ctx, key, |bytes| {
            dense |= !hll::is_sparse(bytes);
            hll::merge_into(&mut registers, bytes)
        })?
        .transpose()?;
    }
    create(ctx, target)?;
    change(ctx, target, |bytes| {
        hll::raise_all(bytes, &registers, dense, limit)?;
        hll::forget_cached(bytes);
        Ok(())
    })?;
    ctx.changed(target);
    ctx.reply.ok();
    DONE
}

/// `PFDEBUG GETREG | DECODE | ENCODING | TODENSE key`
fn pfdebug(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (word, key) = (args[1], args[2]);
    let Some(sparse) = read(ctx, key, hll::is_sparse)? else {
        return Err(CommandError::new("ERR The specified key does not exist"));
    };
    match word.to_ascii_lowercase().as_slice() {
        b"getreg" => {
            make_dense(ctx, key, sparse)?;
            let mut registers = [0; REGISTERS];
            read(ctx, key, |bytes| hll::merge_into(&mut registers, bytes))?.transpose()?;
            ctx.reply.array(REGISTERS);
            registers.iter().for_each(|value| ctx.reply.integer(i64::from(*value)));
        }
        b"decode" => {
            if !sparse {
                return Err(CommandError::new("ERR HLL encoding is not sparse"));
            }
            let shown = read(ctx, key, hll::shown)?.transpose()?;
            ctx.reply.bulk_str(&shown.unwrap_or_default());
        }
        b"encoding" => ctx.reply.simple(if sparse { "sparse" } else { "dense" }),
        b"todense" => {
            make_dense(ctx, key, sparse)?;
            ctx.reply.integer(i64::from(sparse));
        }
        _ => {
            let word = String::from_utf8_lossy(word);
            return Err(CommandError::text(format!("ERR Unknown PFDEBUG subcommand '{word}'")));
        }
    }
    DONE
}

fn make_dense(ctx: &mut Ctx<'_>, key: &[u8], sparse: bool) -> Result<(), CommandError> {
    if sparse {
        change(ctx, key, hll::make_dense)?;
        ctx.changed(key);
    }
    Ok(())
}

/// `PFSELFTEST`: both forms, filled alike, must hold the same registers and estimate within six
/// standard errors (0.81 % each) of the truth.
fn pfselftest(ctx: &mut Ctx<'_>, _: &[&[u8]]) -> Ended {
    const ELEMENTS: u64 = 100_000;
    const ERROR_MAX: f64 = 6.0 * 0.0081;
    let failed = |why: String| CommandError::text(format!("ERR TESTFAILED {why}"));
    let (mut sparse, mut dense) = (hll::new(), hll::new());
    hll::make_dense(&mut dense)?;
    for number in 1..=ELEMENTS {
        let element = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        hll::add(&mut dense, &element, 0)?;
        hll::add(&mut sparse, &element, sparse_bytes_max(ctx))?;
        if !number.is_power_of_two() && number != ELEMENTS {
            continue;
        }
        let (one, other) = (hll::cardinality(&sparse)?, hll::cardinality(&dense)?);
        if one != other {
            return Err(failed(format!("sparse {one}, dense {other} at {number}")));
        }
        let error = (one as f64 - number as f64).abs();
        if error > (ERROR_MAX * number as f64).max(1.0).ceil() {
            return Err(failed(format!("estimated {one} for {number} elements")));
        }
    }
    ctx.reply.ok();
    DONE
}
