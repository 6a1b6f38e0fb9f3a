//! The words for ranges of sorted sets: by score, by name, by place.
//!
//! Every range comes down to places: where it starts, and how many members it has.

use holdfast_store::float;
use holdfast_store::sorted_set::SortedSet;

use crate::commands::CommandError;
use crate::commands::parse::{integer, range};

/// A part of a sorted set: its first place, counted from the lowest score, and its length.
pub(in crate::commands) type Part = (usize, usize);

/// The members for which both ends of a range hold.
fn part(
    set: &SortedSet,
    is_below: impl FnMut(f64, &[u8]) -> bool,
    is_not_above: impl FnMut(f64, &[u8]) -> bool,
) -> Part {
    let start = set.position(is_below);
    let end = set.position(is_not_above);
    (start, end.saturating_sub(start))
}

#[derive(Debug, Clone, Copy)]
struct ScoreEnd {
    score: f64,
    open: bool,
}

impl ScoreEnd {
    /// A number as the C library reads it: blanks in front, and nothing at all is 0.
    fn parse(arg: &[u8]) -> Result<Self, CommandError> {
        let (open, text) = match arg {
            [b'(', rest @ ..] => (true, rest),
            _ => (false, arg),
        };
        let text = text.trim_ascii_start();
        let score = match text {
            b"" => Some(0.0),
            _ => float::to_f64(text).or_else(|| {
                let text = std::str::from_utf8(text).ok()?;
                text.parse().ok().filter(|score: &f64| !score.is_nan())
            }),
        };
        let score = score.ok_or(CommandError::new("ERR min or max is not a float"))?;
        Ok(Self { score, open })
    }
}

/// Scores between two ends.
#[derive(Debug, Clone, Copy)]
pub(in crate::commands) struct Scores {
    min: ScoreEnd,
    max: ScoreEnd,
}

impl Scores {
    pub(in crate::commands) fn parse(min: &[u8], max: &[u8]) -> Result<Self, CommandError> {
        Ok(Self { min: ScoreEnd::parse(min)?, max: ScoreEnd::parse(max)? })
    }

    /// Scores from `min` up to, but without, `max`.
    pub(in crate::commands) fn from_up_to(min: f64, max: f64) -> Self {
        Self { min: ScoreEnd { score: min, open: false }, max: ScoreEnd { score: max, open: true } }
    }

    pub(in crate::commands) fn part(&self, set: &SortedSet) -> Part {
        let Self { min, max } = *self;
        let is_below =
            |score, _: &[u8]| if min.open { score <= min.score } else { score < min.score };
        let is_not_above =
            |score, _: &[u8]| if max.open { score < max.score } else { score <= max.score };
        part(set, is_below, is_not_above)
    }
}

#[derive(Debug, Clone, Copy)]
enum NameEnd<'a> {
    First,
    Last,
    Closed(&'a [u8]),
    Open(&'a [u8]),
}

impl<'a> NameEnd<'a> {
    fn parse(arg: &'a [u8]) -> Result<Self, CommandError> {
        match arg {
            b"-" => Ok(Self::First),
            b"+" => Ok(Self::Last),
            [b'[', name @ ..] => Ok(Self::Closed(name)),
            [b'(', name @ ..] => Ok(Self::Open(name)),
            _ => Err(CommandError::new("ERR min or max not valid string range item")),
        }
    }
}

/// Names between two ends, for members that all have the same score.
#[derive(Debug, Clone, Copy)]
pub(in crate::commands) struct Names<'a> {
    min: NameEnd<'a>,
    max: NameEnd<'a>,
}

impl<'a> Names<'a> {
    pub(in crate::commands) fn parse(min: &'a [u8], max: &'a [u8]) -> Result<Self, CommandError> {
        Ok(Self { min: NameEnd::parse(min)?, max: NameEnd::parse(max)? })
    }

    fn part(&self, set: &SortedSet) -> Part {
        let is_below = |_, name: &[u8]| match self.min {
            NameEnd::First => false,
            NameEnd::Last => true,
            NameEnd::Closed(min) => name < min,
            NameEnd::Open(min) => name <= min,
        };
        let is_not_above = |_, name: &[u8]| match self.max {
            NameEnd::First => false,
            NameEnd::Last => true,
            NameEnd::Closed(max) => name <= max,
            NameEnd::Open(max) => name < max,
        };
        part(set, is_below, is_not_above)
    }
}

/// What a range is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum By {
    Place,
    Score,
    Name,
}

/// A range of any kind.
#[derive(Debug, Clone, Copy)]
pub(in crate::commands) enum Range<'a> {
    Places(i64, i64),
    Scores(Scores),
    Names(Names<'a>),
}

impl<'a> Range<'a> {
    pub(in crate::commands) fn parse(
        by: By,
        min: &'a [u8],
        max: &'a [u8],
    ) -> Result<Self, CommandError> {
        Ok(match by {
            By::Place => Self::Places(integer(min)?, integer(max)?),
            By::Score => Self::Scores(Scores::parse(min, max)?),
            By::Name => Self::Names(Names::parse(min, max)?),
        })
    }

    /// The part of a sorted set that it means. Places count from the highest score when
    /// `backwards`; the part's own always from the lowest.
    pub(in crate::commands) fn part(&self, set: &SortedSet, backwards: bool) -> Part {
        match self {
            Self::Places(start, end) => {
                let (start, count) = range(*start, *end, set.len());
                if backwards { (set.len() - start - count, count) } else { (start, count) }
            }
            Self::Scores(scores) => scores.part(set),
            Self::Names(names) => names.part(set),
        }
    }
}
