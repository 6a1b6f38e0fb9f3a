//! Glob patterns, as KEYS, SCAN, CONFIG GET and their like take them.
//!
//! ```text
//!   *  any run of bytes      ?  any byte      [a-cx]  one of a class      [^a-cx]  none of it
//!   \  takes the next byte as it is
//! ```
//!
//! A mismatch goes back to the last `*` only, never to an earlier one, which is enough: the work
//! is at most pattern times text, whatever the pattern. Like in Redis, a pattern that needs more
//! than a thousand stars fits nothing.
//!
//! Not known here: characters; everything is bytes.

/// Runs of stars that a match may use.
const STARS_MAX: usize = 1_000;

/// Whether the whole text fits the pattern.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, false)
}

/// The same, with ASCII letters of both cases equal.
pub fn matches_any_case(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, true)
}

fn matches_with(pattern: &[u8], text: &[u8], any_case: bool) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Behind the last star: the pattern there, and the text from which it is tried next.
    let mut retry: Option<(&[u8], &[u8])> = None;
    let mut stars = 0;
    loop {
        if let Some((b'*', rest)) = pattern.split_first() {
            pattern = rest;
            if !matches!(rest, [b'*', ..]) {
                stars += 1;
            }
            if stars > STARS_MAX {
                return false;
            }
            retry = Some((rest, text));
            continue;
        }
        let step = match text.split_first() {
            Some((byte, after)) => match_one(pattern, *byte, any_case).map(|rest| (rest, after)),
            None if pattern.is_empty() => return true,
            None => return false,
        };
        if let Some((rest, after)) = step {
            (pattern, text) = (rest, after);
            continue;
        }
        let Some((rest, tried)) = retry else { return false };
        let Some((_, later)) = tried.split_first() else { return false };
        retry = Some((rest, later));
        (pattern, text) = (rest, later);
    }
}

/// Matches one byte against the head of the pattern: what follows the head.
fn match_one(pattern: &[u8], byte: u8, any_case: bool) -> Option<&[u8]> {
    let (head, rest) = pattern.split_first()?;
    match head {
        b'?' => Some(rest),
        b'[' => {
            let (fits, rest) = match_class(rest, byte, any_case);
            fits.then_some(rest)
        }
        b'\\' => {
            let (literal, rest) = rest.split_first().unwrap_or((head, rest));
            equal(*literal, byte, any_case).then_some(rest)
        }
        literal => equal(*literal, byte, any_case).then_some(rest),
    }
}

fn equal(left: u8, right: u8, any_case: bool) -> bool {
    left == right || (any_case && left.eq_ignore_ascii_case(&right))
}

/// Matches one byte against a class whose `[` has been read. A class without an end goes to the
/// end of the pattern.
fn match_class(class: &[u8], byte: u8, any_case: bool) -> (bool, &[u8]) {
    let (negated, mut class) = match class {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut fits = false;
    loop {
        match class {
            [] => break,
            [b']', rest @ ..] => {
                class = rest;
                break;
            }
            [b'\\', literal, rest @ ..] => {
                fits |= equal(*literal, byte, any_case);
                class = rest;
            }
            [from, b'-', to, rest @ ..] => {
                fits |= in_range(*from, *to, byte, any_case);
                class = rest;
            }
            [literal, rest @ ..] => {
                fits |= equal(*literal, byte, any_case);
                class = rest;
            }
        }
    }
    (fits != negated, class)
}

fn in_range(from: u8, to: u8, byte: u8, any_case: bool) -> bool {
    let fold = |byte: u8| if any_case { byte.to_ascii_lowercase() } else { byte };
    let (from, to, byte) = (fold(from), fold(to), fold(byte));
    (from.min(to)..=from.max(to)).contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_documented() {
        let fitting: [(&str, &str); 14] = [
            ("*", ""),
            ("h*llo", "hello"),
            ("h*l*o", "heeellllo"),
            ("h?llo", "hxllo"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-c]llo", "hbllo"),
            ("h[c-a]llo", "hbllo"),
            ("a\\*b", "a*b"),
            ("a[\\]]b", "a]b"),
            ("*a", "bababa"),
            ("[abc", "b"),
            ("\\", "\\"),
            ("**x**", "x"),
        ];
        for (pattern, text) in fitting {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        let other =
            [("", "a"), ("h?llo", "hllo"), ("h[^e]llo", "hello"), ("a\\*b", "axb"), ("?", "")];
        for (pattern, text) in other {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        assert!(matches_any_case(b"MAX[a-z]EM*", b"maxmemory"));
    }

    #[test]
    fn a_thousand_stars_are_enough() {
        assert!(matches(&b"*?".repeat(1_000), &b"a".repeat(1_000)));
        assert!(!matches(&b"*?".repeat(1_001), &b"a".repeat(1_001)));
    }

    #[test]
    fn a_row_of_stars_costs_no_more_than_pattern_times_text() {
        let pattern = [b"a*".repeat(200), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &b"a".repeat(20_000)));
    }
}
