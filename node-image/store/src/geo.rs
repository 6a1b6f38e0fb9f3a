//! Places on earth as numbers that sort: geohashes of 52 bits.
//!
//! ```text
//!   longitude  -180 ........ x ........ 180     26 bits  ─┐
//!                                                         ├─ interleaved: 52 bits, a score
//!   latitude  -85.05 ........ y ..... 85.05     26 bits  ─┘
//! ```
//!
//! The bits are interleaved, latitude below, so that all places whose numbers share their first
//! bits lie in one box, and a box is one range of numbers. A search takes the box around its
//! middle, of a size that the shape fits into three of them in either direction, and its eight
//! neighbours; what they hold is then measured. 52 bits fit a double, so a sorted set can hold
//! them as scores.
//!
//! Not known here: sorted sets. Distances are on a sphere, as Redis measures them.

/// Metres.
const EARTH_RADIUS: f64 = 6_372_797.560_856;

/// Half of the way around the equator as the projection has it, in metres.
const MERCATOR_MAX: f64 = 20_037_726.37;

const LONGITUDE_MAX: f64 = 180.0;

/// Where the projection ends.
const LATITUDE_MAX: f64 = 85.051_128_78;

/// Bits for each of both coordinates.
const STEPS_MAX: u32 = 26;

/// A place: degrees east and north.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// -180 to 180.
    pub longitude: f64,
    /// -85.05112878 to 85.05112878.
    pub latitude: f64,
}

/// A shape around a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Everything up to a distance, in metres.
    Circle(f64),
    /// A box along the meridians: width and height in metres.
    Rectangle(f64, f64),
}

fn spread(number: u32) -> u64 {
    (0..32).fold(0, |bits, at| bits | u64::from(number >> at & 1) << (2 * at))
}

fn gather(bits: u64) -> u32 {
    (0..32).fold(0, |number, at| number | ((bits >> (2 * at) & 1) as u32) << at)
}

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

/// The cell of a coordinate between `-max` and `max` that is cut into `2^steps`.
fn cell(coordinate: f64, max: f64, steps: u32) -> u32 {
    let share = (coordinate + max) / (2.0 * max);
    (share * (1_u64 << steps) as f64) as u32
}

/// The borders of a cell.
fn borders(cell: u32, max: f64, steps: u32) -> (f64, f64) {
    let cells = (1_u64 << steps) as f64;
    let border = |at: f64| -max + (at / cells) * (2.0 * max);
    (border(f64::from(cell)), border(f64::from(cell) + 1.0))
}

impl Point {
    /// A point, where it is on the map.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let on_map = longitude.abs() <= LONGITUDE_MAX && latitude.abs() <= LATITUDE_MAX;
        on_map.then_some(Self { longitude, latitude })
    }

    /// The middle of the smallest box that a score names.
    pub fn from_score(score: f64) -> Self {
        let bits = score as u64;
        let middle = |cell, max: f64| {
            let (low, high) = borders(cell, max, STEPS_MAX);
            f64::midpoint(low, high).clamp(-max, max)
        };
        Self {
            longitude: middle(gather(bits >> 1), LONGITUDE_MAX),
            latitude: middle(gather(bits), LATITUDE_MAX),
        }
    }

    fn bits(self, latitude_max: f64) -> u64 {
        let latitude = cell(self.latitude, latitude_max, STEPS_MAX);
        spread(latitude) | spread(cell(self.longitude, LONGITUDE_MAX, STEPS_MAX)) << 1
    }

    /// The score of a point.
    pub fn score(self) -> f64 {
        self.bits(LATITUDE_MAX) as f64
    }

    /// The point as a geohash of eleven letters, as the rest of the world writes it: with latitudes
    /// up to the poles. The last letter has no bits left and is always the first of the alphabet.
    pub fn geohash(self) -> [u8; 11] {
        const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = self.bits(90.0);
        let mut text = [b'0'; 11];
        for (letter, shift) in text.iter_mut().zip((2..=47).rev().step_by(5)) {
            let at = (bits >> shift & 0x1f) as usize;
            *letter = LETTERS.get(at).copied().unwrap_or(b'0');
        }
        text
    }

    /// Metres to another point.
    pub fn distance(self, other: Self) -> f64 {
        let v = ((radians(other.longitude) - radians(self.longitude)) / 2.0).sin();
        if v == 0.0 {
            return self.distance_north(other);
        }
        let (from, to) = (radians(self.latitude), radians(other.latitude));
        let u = ((to - from) / 2.0).sin();
        let a = u * u + from.cos() * to.cos() * v * v;
        2.0 * EARTH_RADIUS * a.sqrt().asin()
    }

    fn distance_north(self, other: Self) -> f64 {
        EARTH_RADIUS * (radians(other.latitude) - radians(self.latitude)).abs()
    }
}

impl Shape {
    /// The distance of a point from the middle, in metres, when it is inside.
    pub fn distance_inside(self, middle: Point, point: Point) -> Option<f64> {
        match self {
            Self::Circle(radius) => {
                let distance = middle.distance(point);
                (distance <= radius).then_some(distance)
            }
            Self::Rectangle(width, height) => {
                if middle.distance_north(point) > height / 2.0 {
                    return None;
                }
                let beside = Point { longitude: middle.longitude, latitude: point.latitude };
                if point.distance(beside) > width / 2.0 {
                    return None;
                }
                Some(middle.distance(point))
            }
        }
    }

    /// West, south, east and north end of what the shape may reach.
    fn bounds(self, middle: Point) -> [f64; 4] {
        let (width, height) = match self {
            Self::Circle(radius) => (radius, radius),
            Self::Rectangle(width, height) => (width / 2.0, height / 2.0),
        };
        let north = degrees(height / EARTH_RADIUS);
        // A degree of longitude is shortest at the end that is nearer to a pole.
        let narrow = if middle.latitude < 0.0 { -north } else { north };
        let east = degrees(width / EARTH_RADIUS / radians(middle.latitude + narrow).cos());
        [
            middle.longitude - east,
            middle.latitude - north,
            middle.longitude + east,
            middle.latitude + north,
        ]
    }

    fn radius(self) -> f64 {
        match self {
            Self::Circle(radius) => radius,
            Self::Rectangle(width, height) => (width / 2.0).hypot(height / 2.0),
        }
    }

    /// The ranges of scores, from the first up to but without the second, that hold every point
    /// inside: the box of the middle, then its neighbours that are needed.
    pub fn score_ranges(self, middle: Point) -> Vec<(f64, f64)> {
        let bounds = self.bounds(middle);
        let mut steps = steps_for(self.radius(), middle.latitude);
        let mut centre = Cell::of(middle, steps);
        if steps > 1 && !centre.neighbours_reach(bounds) {
            steps -= 1;
            centre = Cell::of(middle, steps);
        }
        let [west, south, east, north] = bounds;
        let [own_west, own_south, own_east, own_north] = centre.bounds();
        let needed = |dx: i32, dy: i32| {
            steps < 2
                || !((dy < 0 && own_south < south)
                    || (dy > 0 && own_north > north)
                    || (dx < 0 && own_west < west)
                    || (dx > 0 && own_east > east))
        };
        const AROUND: [(i32, i32); 9] =
            [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let mut ranges: Vec<(f64, f64)> = Vec::new();
        for (dx, dy) in AROUND {
            let range = centre.moved(dx, dy).score_range();
            // With few boxes on the whole map a neighbour may be met twice.
            if needed(dx, dy) && !ranges.contains(&range) {
                ranges.push(range);
            }
        }
        ranges
    }
}

/// How often the map must be halved for boxes that a shape reaches out of by one box at most.
fn steps_for(mut radius: f64, latitude: f64) -> u32 {
    if radius == 0.0 {
        return STEPS_MAX;
    }
    let mut steps: i32 = 1;
    while radius < MERCATOR_MAX && steps < 64 {
        radius *= 2.0;
        steps += 1;
    }
    steps -= 2;
    // Boxes get narrow towards the poles.
    steps -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    steps.clamp(1, STEPS_MAX as i32) as u32
}

/// A box of the map after some halvings.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cell {
    x: u32,
    y: u32,
    steps: u32,
}

impl Cell {
    fn of(point: Point, steps: u32) -> Self {
        Self {
            x: cell(point.longitude, LONGITUDE_MAX, steps),
            y: cell(point.latitude, LATITUDE_MAX, steps),
            steps,
        }
    }

    /// The map is round in both directions, which for latitudes is no harm: too much is measured.
    fn moved(self, dx: i32, dy: i32) -> Self {
        let mask = (1 << self.steps) - 1;
        let shift = |at: u32, by: i32| at.wrapping_add_signed(by) & mask;
        Self { x: shift(self.x, dx), y: shift(self.y, dy), steps: self.steps }
    }

    fn bounds(self) -> [f64; 4] {
        let (west, east) = borders(self.x, LONGITUDE_MAX, self.steps);
        let (south, north) = borders(self.y, LATITUDE_MAX, self.steps);
        [west, south, east, north]
    }

    fn neighbours_reach(self, [west, south, east, north]: [f64; 4]) -> bool {
        let [_, _, _, far_north] = self.moved(0, 1).bounds();
        let [_, far_south, ..] = self.moved(0, -1).bounds();
        let [_, _, far_east, _] = self.moved(1, 0).bounds();
        let [far_west, ..] = self.moved(-1, 0).bounds();
        far_north >= north && far_south <= south && far_east >= east && far_west <= west
    }

    fn score_range(self) -> (f64, f64) {
        let shift = 2 * (STEPS_MAX - self.steps);
        let bits = spread(self.y) | spread(self.x) << 1;
        ((bits << shift) as f64, ((bits + 1) << shift) as f64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(longitude: f64, latitude: f64) -> Point {
        Point::new(longitude, latitude).unwrap()
    }

    #[test]
    fn scores_and_geohashes_are_those_of_redis() {
        let palermo = point(13.361389, 38.115556);
        let catania = point(15.087269, 37.502669);
        assert_eq!(palermo.score(), 3_479_099_956_230_698.0);
        assert_eq!(catania.score(), 3_479_447_370_796_909.0);
        let kept = Point::from_score(palermo.score());
        assert_eq!(format!("{:.17}", kept.longitude), "13.36138933897018433");
        assert_eq!(format!("{:.17}", kept.latitude), "38.11555639549629859");
        assert_eq!(&kept.geohash(), b"sqc8b49rny0");
        let metres = kept.distance(Point::from_score(catania.score()));
        assert_eq!(format!("{metres:.4}"), "166274.1516");
    }

    #[test]
    fn what_is_off_the_map_is_no_point() {
        for (longitude, latitude) in [(180.1, 0.0), (0.0, 85.06), (f64::NAN, 0.0), (0.0, -90.0)] {
            assert_eq!(Point::new(longitude, latitude), None);
        }
        assert!(Point::new(-180.0, -85.05112878).is_some());
        // A score of anything is a place somewhere.
        for score in [-1.0, 1e300, f64::INFINITY, 0.5] {
            let place = Point::from_score(score);
            assert!(Point::new(place.longitude, place.latitude).is_some(), "{place:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_inside_a_shape_is_in_one_of_its_ranges(
            longitude in -170.0..170.0_f64, latitude in -80.0..80.0_f64,
            size in 0.0..6.0_f64, ratio in 0.1..10.0_f64, circle in any::<bool>(),
            east in -1.0..1.0_f64, north in -1.0..1.0_f64,
        ) {
            let size = 10_f64.powf(size);
            let shape = if circle {
                Shape::Circle(size)
            } else {
                Shape::Rectangle(size, size * ratio.min(2.0))
            };
            let middle = point(longitude, latitude);
            let reach = degrees(size / EARTH_RADIUS);
            let other = Point::new(
                longitude + east * reach / radians(latitude).cos(),
                latitude + north * reach,
            );
            prop_assume!(other.is_some());
            let kept = Point::from_score(other.unwrap().score());
            if shape.distance_inside(middle, kept).is_some() {
                let score = kept.score();
                let found = shape.score_ranges(middle).iter().any(|(low, high)| {
                    (*low..*high).contains(&score)
                });
                prop_assert!(found, "{shape:?} {middle:?} {kept:?}");
            }
        }
    }
}
