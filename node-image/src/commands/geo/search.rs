//! Searches: the members inside a circle or a box, given out or stored.

use std::cmp::Ordering;

use holdfast_store::float;
use holdfast_store::geo::{Point, Shape};
use holdfast_store::sorted_set::SortedSet;

use super::change::point;
use super::look::{place_of, unit, write_distance, write_point};
use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::{integer, is_word};
use crate::commands::sorted_set::bounds::Scores;
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

/// How the middle and the shape are told, and whether the result may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// GEORADIUS and its sister that takes a member.
    Radius { by_member: bool, may_store: bool },
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Nearest,
    Farthest,
}

#[derive(Debug)]
struct Query<'a> {
    middle: Option<Point>,
    is_placed: bool,
    shape: Option<Shape>,
    /// Metres of the unit that distances are told in.
    unit: f64,
    order: Option<Order>,
    count: usize,
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_point: bool,
    store: Option<&'a [u8]>,
    stores_distance: bool,
}

fn number(arg: &[u8], text: &'static str) -> Result<f64, CommandError> {
    float::to_f64(arg).ok_or(CommandError::new(text))
}

impl<'a> Query<'a> {
    const EMPTY: Self = Self {
        middle: None,
        is_placed: false,
        shape: None,
        unit: 1.0,
        order: None,
        count: 0,
        any: false,
        with_distance: false,
        with_hash: false,
        with_point: false,
        store: None,
        stores_distance: false,
    };

    /// The middle is a member; without a sorted set there is nothing to find, wherever it is.
    fn place_at(&mut self, set: Option<&SortedSet>, member: &[u8]) -> Result<(), CommandError> {
        self.is_placed = true;
        if let Some(set) = set {
            let point = place_of(set, member);
            self.middle =
                Some(point.ok_or(CommandError::new("ERR could not decode requested zset member"))?);
        }
        Ok(())
    }

    fn circle(&mut self, radius: &[u8], unit_name: &[u8]) -> Result<(), CommandError> {
        let radius = number(radius, "ERR need numeric radius")?;
        if radius < 0.0 {
            return Err(CommandError::new("ERR radius cannot be negative"));
        }
        self.unit = unit(unit_name)?;
        self.shape = Some(Shape::Circle(radius * self.unit));
        Ok(())
    }

    fn rectangle(
        &mut self,
        width: &[u8],
        height: &[u8],
        unit_name: &[u8],
    ) -> Result<(), CommandError> {
        let width = number(width, "ERR need numeric width")?;
        let height = number(height, "ERR need numeric height")?;
        if width < 0.0 || height < 0.0 {
            return Err(CommandError::new("ERR height or width cannot be negative"));
        }
        self.unit = unit(unit_name)?;
        self.shape = Some(Shape::Rectangle(width * self.unit, height * self.unit));
        Ok(())
    }

    fn parse_options(
        &mut self,
        mut args: &'a [&'a [u8]],
        dialect: Dialect,
        set: Option<&SortedSet>,
    ) -> Result<(), CommandError> {
        while let Some((word, rest)) = args.split_first() {
            args = if let Some(rest) = self.parse_wish(word, rest)? {
                rest
            } else if let Dialect::Radius { may_store, .. } = dialect {
                self.parse_target(word, rest, may_store)?
            } else {
                self.parse_shape(word, rest, dialect, set)?
            };
        }
        Ok(())
    }

    /// What all dialects know; `None` for any other word.
    fn parse_wish(
        &mut self,
        word: &[u8],
        rest: &'a [&'a [u8]],
    ) -> Result<Option<&'a [&'a [u8]]>, CommandError> {
        match (word.to_ascii_uppercase().as_slice(), rest) {
            (b"WITHDIST", _) => self.with_distance = true,
            (b"WITHHASH", _) => self.with_hash = true,
            (b"WITHCOORD", _) => self.with_point = true,
            (b"ANY", _) => self.any = true,
            (b"ASC", _) => self.order = Some(Order::Nearest),
            (b"DESC", _) => self.order = Some(Order::Farthest),
            (b"COUNT", [count, rest @ ..]) => {
                self.count = match integer(count)? {
                    count @ 1.. => count as usize,
                    _ => return Err(CommandError::new("ERR COUNT must be > 0")),
                };
                return Ok(Some(rest));
            }
            _ => return Ok(None),
        }
        Ok(Some(rest))
    }

    fn parse_target(
        &mut self,
        word: &[u8],
        rest: &'a [&'a [u8]],
        may_store: bool,
    ) -> Result<&'a [&'a [u8]], CommandError> {
        let distance = is_word(word, "STOREDIST");
        let ([target, rest @ ..], true, true) =
            (rest, may_store, distance || is_word(word, "STORE"))
        else {
            return Err(CommandError::SYNTAX);
        };
        self.store = Some(target);
        self.stores_distance = distance;
        Ok(rest)
    }

    fn parse_shape(
        &mut self,
        word: &[u8],
        rest: &'a [&'a [u8]],
        dialect: Dialect,
        set: Option<&SortedSet>,
    ) -> Result<&'a [&'a [u8]], CommandError> {
        let (placed, shaped) = (self.is_placed, self.shape.is_some());
        match (word.to_ascii_uppercase().as_slice(), rest) {
            (b"FROMMEMBER", [member, rest @ ..]) if !placed => {
                self.place_at(set, member)?;
                Ok(rest)
            }
            (b"FROMLONLAT", [longitude, latitude, rest @ ..]) if !placed => {
                self.middle = Some(point(longitude, latitude)?);
                self.is_placed = true;
                Ok(rest)
            }
            (b"BYRADIUS", [radius, unit, rest @ ..]) if !shaped => {
                self.circle(radius, unit)?;
                Ok(rest)
            }
            (b"BYBOX", [width, height, unit, rest @ ..]) if !shaped => {
                self.rectangle(width, height, unit)?;
                Ok(rest)
            }
            (b"STOREDIST", _) if dialect == Dialect::SearchStore => {
                self.stores_distance = true;
                Ok(rest)
            }
            _ => Err(CommandError::SYNTAX),
        }
    }

    /// What can only be told when all words are known.
    fn check(&self, dialect: Dialect, name: &[u8]) -> Result<(), CommandError> {
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_point) {
            let what = match dialect {
                Dialect::Radius { .. } => "STORE option in GEORADIUS",
                _ => "GEOSEARCHSTORE",
            };
            return Err(CommandError::text(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let name = String::from_utf8_lossy(name);
        if !self.is_placed {
            return Err(CommandError::text(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"
            )));
        }
        if self.shape.is_none() {
            return Err(CommandError::text(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {name}"
            )));
        }
        if self.any && self.count == 0 {
            return Err(CommandError::new("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The members inside, as they are wished for.
    fn find(&self, set: &SortedSet) -> Vec<Found> {
        let (Some(middle), Some(shape)) = (self.middle, self.shape) else { return Vec::new() };
        let enough = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        for (low, high) in shape.score_ranges(middle) {
            let (start, count) = Scores::from_up_to(low, high).part(set);
            for (member, score) in set.range(start, count) {
                if found.len() >= enough {
                    break;
                }
                let point = Point::from_score(score);
                if let Some(metres) = shape.distance_inside(middle, point) {
                    let distance = metres / self.unit;
                    found.push(Found { member: member.to_vec(), score, point, distance });
                }
            }
        }
        let unordered = self.count > 0 && !self.any;
        let order = self.order.or(unordered.then_some(Order::Nearest));
        let by_distance = |left: &Found, right: &Found| {
            left.distance.partial_cmp(&right.distance).unwrap_or(Ordering::Equal)
        };
        match order {
            Some(Order::Nearest) => found.sort_by(by_distance),
            Some(Order::Farthest) => found.sort_by(|left, right| by_distance(right, left)),
            None => {}
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }
}

/// A member inside.
#[derive(Debug)]
struct Found {
    member: Vec<u8>,
    score: f64,
    point: Point,
    distance: f64,
}

fn write_found(ctx: &mut Ctx<'_>, query: &Query<'_>, found: &[Found]) {
    let facts = [query.with_distance, query.with_hash, query.with_point];
    let facts = facts.into_iter().filter(|wished| *wished).count();
    ctx.reply.array(found.len());
    for one in found {
        if facts > 0 {
            ctx.reply.array(facts + 1);
        }
        ctx.reply.bulk(&one.member);
        if query.with_distance {
            write_distance(ctx.reply, one.distance);
        }
        if query.with_hash {
            ctx.reply.integer(one.score as i64);
        }
        if query.with_point {
            write_point(ctx.reply, one.point);
        }
    }
}

fn store(ctx: &mut Ctx<'_>, query: &Query<'_>, found: &[Found], target: &[u8], event: &str) {
    let mut keys = ctx.keys();
    let limits = keys.limits();
    let mut result = SortedSet::new();
    for one in found {
        let score = if query.stores_distance { one.distance } else { one.score };
        result.set(&one.member, score, &limits);
    }
    let existed = keys.remove(target);
    if !found.is_empty() {
        keys.set(target, result, None);
    }
    if existed || !found.is_empty() {
        ctx.changed(target);
        if !found.is_empty() {
            ctx.notify(EventClass::SortedSet, event, target);
        }
        ctx.notify_if_gone(target);
    }
    ctx.reply.integer(found.len() as i64);
}

fn run(ctx: &mut Ctx<'_>, args: &[&[u8]], dialect: Dialect) -> Ended {
    let source = if dialect == Dialect::SearchStore { args[2] } else { args[1] };
    let mut keys = ctx.keys();
    let set = keys.sorted_set(source)?;
    let mut query = Query::EMPTY;
    let options = match dialect {
        Dialect::Radius { by_member: false, .. } => {
            query.middle = Some(point(args[2], args[3])?);
            query.is_placed = true;
            query.circle(args[4], args[5])?;
            6
        }
        Dialect::Radius { by_member: true, .. } => {
            if set.is_some() {
                query.place_at(set, args[2])?;
                query.circle(args[3], args[4])?;
            } else {
                // Without the key Redis does not look at these arguments.
                query.is_placed = true;
                query.shape = Some(Shape::Circle(0.0));
            }
            5
        }
        Dialect::Search => 2,
        Dialect::SearchStore => {
            query.store = Some(args[1]);
            3
        }
    };
    query.parse_options(args.get(options..).unwrap_or_default(), dialect, set)?;
    query.check(dialect, args[0])?;
    let found = set.map_or_else(Vec::new, |set| query.find(set));
    let event = match dialect {
        Dialect::Radius { .. } => "georadiusstore",
        _ => "geosearchstore",
    };
    match query.store {
        Some(target) => store(ctx, &query, &found, target, event),
        None => write_found(ctx, &query, &found),
    }
    DONE
}

/// `GEORADIUS key longitude latitude radius unit [options]`
pub(super) fn georadius(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Dialect::Radius { by_member: false, may_store: true })
}

/// `GEORADIUS_RO`: the same without storing.
pub(super) fn georadius_ro(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Dialect::Radius { by_member: false, may_store: false })
}

/// `GEORADIUSBYMEMBER key member radius unit [options]`
pub(super) fn georadiusbymember(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Dialect::Radius { by_member: true, may_store: true })
}

/// `GEORADIUSBYMEMBER_RO`: the same without storing.
pub(super) fn georadiusbymember_ro(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Dialect::Radius { by_member: true, may_store: false })
}

/// `GEOSEARCH key FROMMEMBER member|FROMLONLAT x y BYRADIUS r unit|BYBOX w h unit [options]`
pub(super) fn geosearch(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Dialect::Search)
}

/// `GEOSEARCHSTORE target source ... [STOREDIST]`
pub(super) fn geosearchstore(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    run(ctx, args, Dialect::SearchStore)
}
