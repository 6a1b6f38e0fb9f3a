//! Small accessors on objects as JSON, and the one time format of Kubernetes.
//!
//! Every accessor is total: a missing or mistyped field reads as empty. Not known here: kinds.

use serde_json::{Map, Value};

/// The value at a path of map keys.
pub fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |here, key| here.get(key))
}

/// The string at a path; empty when absent.
pub fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or("")
}

/// The integer at a path.
pub fn integer(object: &Value, path: &[&str]) -> Option<i64> {
    at(object, path).and_then(Value::as_i64)
}

/// The elements of the list at a path; none when absent.
pub fn items<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    at(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Sets the value at a path and makes the maps on the way.
pub fn set(object: &mut Value, path: &[&str], value: Value) {
    let Some((last, parents)) = path.split_last() else {
        *object = value;
        return;
    };
    let mut here = object;
    for key in parents {
        here = child(here, key);
    }
    as_map(here).insert((*last).to_owned(), value);
}

fn child<'a>(here: &'a mut Value, key: &str) -> &'a mut Value {
    as_map(here).entry(key.to_owned()).or_insert(Value::Null)
}

/// The value as a map; anything else is replaced by an empty one.
pub fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the value was just made a map"),
    }
}

/// Removes the value at a path and returns it.
pub fn remove(object: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let mut here = object;
    for key in parents {
        here = here.get_mut(key)?;
    }
    here.as_object_mut()?.remove(*last)
}

/// Moves the value at a path from one object to another; absent there means absent here.
pub fn copy(from: &Value, to: &mut Value, path: &[&str]) {
    match at(from, path) {
        Some(value) => set(to, path, value.clone()),
        None => {
            remove(to, path);
        }
    }
}

/// `metadata.name`.
pub fn name(object: &Value) -> &str {
    text(object, &["metadata", "name"])
}

/// `metadata.namespace`; empty for cluster-scoped objects.
pub fn namespace(object: &Value) -> &str {
    text(object, &["metadata", "namespace"])
}

/// `metadata.uid`.
pub fn uid(object: &Value) -> &str {
    text(object, &["metadata", "uid"])
}

/// `metadata.resourceVersion` as a number; zero when absent.
pub fn revision(object: &Value) -> u64 {
    text(object, &["metadata", "resourceVersion"]).parse().unwrap_or(0)
}

/// True when a deletion was asked for and the object still stands.
pub fn is_terminating(object: &Value) -> bool {
    at(object, &["metadata", "deletionTimestamp"]).is_some_and(Value::is_string)
}

/// Milliseconds since 1970 as `2026-11-23T08:56:12Z`.
pub fn rfc3339(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Milliseconds since 1970 with six digits of a second, as Leases and Events want it.
pub fn rfc3339_micros(ms: i64) -> String {
    let whole = rfc3339(ms);
    format!("{}.{:03}000Z", whole.trim_end_matches('Z'), ms.rem_euclid(1000))
}

/// Reads both formats; None for anything else.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let days = days_from_civil(number(0..4)?, number(5..7)?, number(8..10)?);
    let seconds = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let ms = text
        .get(20..23)
        .filter(|_| text.get(19..20) == Some("."))
        .map_or(Some(0), |digits| digits.parse().ok())?;
    Some((days * 86_400 + seconds) * 1000 + ms)
}

/// Days since 1970 to a date of the Gregorian calendar. Eras of 400 years, years from March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_written_and_read_back() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_795_424_172_000), "2026-11-23T08:56:12Z");
        assert_eq!(rfc3339_micros(1_795_424_172_345), "2026-11-23T08:56:12.345000Z");
        for ms in [0, 951_782_400_000, 1_709_164_800_000, 1_795_424_172_345] {
            assert_eq!(parse_rfc3339(&rfc3339_micros(ms)), Some(ms));
        }
        assert_eq!(parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn set_makes_the_maps_on_the_way_and_remove_undoes_it() {
        let mut object = json!({});
        set(&mut object, &["metadata", "name"], json!("a"));
        assert_eq!(name(&object), "a");
        assert_eq!(remove(&mut object, &["metadata", "name"]), Some(json!("a")));
        assert_eq!(name(&object), "");
    }
}
