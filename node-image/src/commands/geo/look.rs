//! Where members are, and how far from each other.

use holdfast_store::geo::Point;
use holdfast_store::sorted_set::SortedSet;
use holdfast_wire::resp::ReplyBuf;

use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::is_word;
use crate::commands::{CommandError, Ctx};

/// Metres of a unit.
pub(super) fn unit(arg: &[u8]) -> Result<f64, CommandError> {
    const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let found = UNITS.iter().find(|(name, _)| is_word(arg, name));
    found
        .map(|(_, metres)| *metres)
        .ok_or(CommandError::new("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// The place of a member.
pub(super) fn place_of(set: &SortedSet, member: &[u8]) -> Option<Point> {
    set.score(member).map(Point::from_score)
}

/// A distance is text with four decimals in both protocols.
pub(super) fn write_distance(reply: &mut ReplyBuf, distance: f64) {
    reply.bulk(format!("{distance:.4}").as_bytes());
}

/// Longitude and latitude with as many decimals as they have, 17 at most.
pub(super) fn write_point(reply: &mut ReplyBuf, point: Point) {
    reply.array(2);
    for degrees in [point.longitude, point.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        if reply.is_resp3() {
            reply.raw(format!(",{text}\r\n").as_bytes());
        } else {
            reply.bulk(text.as_bytes());
        }
    }
}

/// `GEOPOS key [member...]`
pub(super) fn geopos(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let set = keys.sorted_set(args[1])?;
    reply.array(args.len() - 2);
    for member in args.iter().skip(2) {
        match set.and_then(|set| place_of(set, member)) {
            Some(point) => write_point(reply, point),
            None => reply.null_array(),
        }
    }
    DONE
}

/// `GEOHASH key [member...]`
pub(super) fn geohash(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let (mut keys, reply) = ctx.split();
    let set = keys.sorted_set(args[1])?;
    reply.array(args.len() - 2);
    for member in args.iter().skip(2) {
        match set.and_then(|set| place_of(set, member)) {
            Some(point) => reply.bulk(&point.geohash()),
            None => reply.null(),
        }
    }
    DONE
}

/// `GEODIST key member member [unit]`
pub(super) fn geodist(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let metres = match args.get(4..).unwrap_or_default() {
        [] => 1.0,
        [arg] => unit(arg)?,
        _ => return Err(CommandError::SYNTAX),
    };
    let (mut keys, reply) = ctx.split();
    let set = keys.sorted_set(args[1])?;
    let place = |member| set.and_then(|set| place_of(set, member));
    match (place(args[2]), place(args[3])) {
        (Some(from), Some(to)) => write_distance(reply, from.distance(to) / metres),
        _ => reply.null(),
    }
    DONE
}
