//! GEOADD: members with their places, kept as scores. Replicas get the ZADD that it comes to.

use holdfast_store::float;
use holdfast_store::geo::Point;
use holdfast_store::number::IntText;

use crate::commands::keyspace::{DONE, Ended};
use crate::commands::parse::is_word;
use crate::commands::sorted_set::change::{Conditions, set_scores};
use crate::commands::{CommandError, Ctx};
use crate::notify::EventClass;

/// A point from two arguments.
pub(super) fn point(longitude: &[u8], latitude: &[u8]) -> Result<Point, CommandError> {
    let longitude = float::to_f64(longitude).ok_or(CommandError::NOT_A_FLOAT)?;
    let latitude = float::to_f64(latitude).ok_or(CommandError::NOT_A_FLOAT)?;
    Point::new(longitude, latitude).ok_or_else(|| {
        CommandError::text(format!(
            "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        ))
    })
}

/// `GEOADD key [NX|XX] [CH] longitude latitude member...`
pub(super) fn geoadd(ctx: &mut Ctx<'_>, args: &[&[u8]]) -> Ended {
    let key = args[1];
    let mut conditions = Conditions::default();
    let mut rest = args.get(2..).unwrap_or_default();
    while let Some((word, behind)) = rest.split_first() {
        if is_word(word, "NX") {
            conditions.only_new = true;
        } else if is_word(word, "XX") {
            conditions.only_old = true;
        } else if is_word(word, "CH") {
            conditions.count_changed = true;
        } else {
            break;
        }
        rest = behind;
    }
    let (triples, odd) = rest.as_chunks::<3>();
    let contradicts = conditions.only_new && conditions.only_old;
    if triples.is_empty() || !odd.is_empty() || contradicts {
        return Err(CommandError::SYNTAX);
    }
    let pairs: Result<Vec<(f64, &[u8])>, CommandError> = triples
        .iter()
        .map(|[longitude, latitude, member]| Ok((point(longitude, latitude)?.score(), *member)))
        .collect();
    let pairs = pairs?;
    let tally = set_scores(ctx, key, conditions, &pairs)?;
    if tally.has_changed() {
        ctx.touched(key);
        let options = args.iter().take(args.len() - rest.len()).skip(2).map(|word| word.to_vec());
        let mut effect = vec![b"ZADD".to_vec(), key.to_vec()];
        effect.extend(options);
        for (score, member) in &pairs {
            effect.push(IntText::new(*score as i64).to_vec());
            effect.push(member.to_vec());
        }
        ctx.effect(&effect);
        ctx.notify(EventClass::SortedSet, "zadd", key);
    }
    ctx.reply.integer(tally.count(conditions));
    DONE
}
