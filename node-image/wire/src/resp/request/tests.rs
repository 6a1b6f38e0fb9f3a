//! Promises of the request reader.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { args_max: 1000, bulk_bytes_max: 1000, unauthenticated: false };

/// All requests in a buffer, the bytes left over, and the error at its end.
fn read_all(
    parser: &mut Parser,
    bytes: &[u8],
    limits: &Limits,
) -> (Vec<Vec<Vec<u8>>>, usize, Option<ProtocolError>) {
    let (mut all, mut at) = (Vec::new(), 0);
    loop {
        match parser.next(bytes, at, limits) {
            Ok(Step::Incomplete) => return (all, at, None),
            Ok(Step::Request { end }) => {
                let args = parser.args().iter().map(|range| bytes[range.clone()].to_vec());
                all.push(args.collect());
                at = end;
            }
            Ok(Step::Inline { words, end }) => {
                all.push(words);
                at = end;
            }
            Err(error) => return (all, at, Some(error)),
        }
    }
}

fn error_of(bytes: &[u8]) -> String {
    let (_, _, error) = read_all(&mut Parser::new(), bytes, &LIMITS);
    error.map(|error| error.0).unwrap_or_default()
}

#[test]
fn a_pipeline_is_many_requests() {
    let mut bytes = encode(&["SET", "k", "v"]);
    bytes.extend_from_slice(b"PING\r\n\r\n*0\r\n*-1\r\n");
    bytes.extend_from_slice(&encode(&["GET", ""]));
    let (all, at, error) = read_all(&mut Parser::new(), &bytes, &LIMITS);
    let words = |words: &[&str]| words.iter().map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(
        all,
        [
            words(&["SET", "k", "v"]),
            words(&["PING"]),
            words(&[]),
            words(&[]),
            words(&[]),
            words(&["GET", ""])
        ]
    );
    assert_eq!((at, error), (bytes.len(), None));
}

#[test]
fn errors_are_those_that_clients_know() {
    assert_eq!(error_of(b"*2147483648\r\n"), "invalid multibulk length");
    assert_eq!(error_of(b"*blabla\r\n"), "invalid multibulk length");
    assert_eq!(error_of(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n"), "expected '$', got 'f'");
    assert_eq!(error_of(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n"), "invalid bulk length");
    assert_eq!(error_of(b"*1\r\n$1001\r\n"), "invalid bulk length");
    assert_eq!(
        error_of(b"set \"\"\"test-key\"\"\" test-value\r\n"),
        "unbalanced quotes in request"
    );
    let long = vec![b'a'; LINE_BYTES_MAX + 2];
    assert_eq!(error_of(&long), "too big inline request");
    let mut long = vec![b'1'; LINE_BYTES_MAX + 2];
    long[0] = b'*';
    assert_eq!(error_of(&long), "too big mbulk count string");
}

#[test]
fn a_stranger_may_send_little() {
    let read = |bytes: &[u8]| {
        let (_, _, error) = read_all(&mut Parser::new(), bytes, &Limits::UNAUTHENTICATED);
        error.map(|error| error.0).unwrap_or_default()
    };
    assert_eq!(read(b"*10\r\n"), "");
    assert_eq!(read(b"*11\r\n"), "unauthenticated multibulk length");
    assert_eq!(read(b"*1\r\n$16384\r\n"), "");
    assert_eq!(read(b"*1\r\n$16385\r\n"), "unauthenticated bulk length");
}

#[test]
fn a_header_allocates_nothing() {
    let limits = Limits::authenticated(usize::MAX / 4);
    let mut parser = Parser::new();
    let bytes = b"*2147483647\r\n$536870912\r\nx";
    assert_eq!(parser.next(bytes, 0, &limits), Ok(Step::Incomplete));
    assert!(parser.args.capacity() < 16);
    assert_eq!(parser.wanted(), Some(13 + 12 + 536_870_912 + 2));
}

#[test]
fn inline_words_have_quotes_and_escapes() {
    let words = |text: &str| split_words(text.as_bytes());
    let expected = |words: &[&[u8]]| Some(words.iter().map(|w| w.to_vec()).collect::<Vec<_>>());
    assert_eq!(words(r#"set "a b" 'c "d'"#), expected(&[b"set", b"a b", b"c \"d"]));
    assert_eq!(words(r#""\x00\xff\n\"" '\''"#), expected(&[b"\x00\xff\n\"", b"'"]));
    assert_eq!(words(r#""a"b"#), None);
    assert_eq!(words(r#""a"#), None);
    assert_eq!(words("  \t "), expected(&[]));
    assert_eq!(words(r#"a """#), expected(&[b"a", b""]));
}

fn requests() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let arg = proptest::collection::vec(any::<u8>(), 0..20);
    proptest::collection::vec(proptest::collection::vec(arg, 1..5), 1..6)
}

proptest! {
    #[test]
    fn bytes_may_come_in_any_pieces(
        requests in requests(),
        cuts in proptest::collection::vec(1..30_usize, 1..40),
    ) {
        let bytes: Vec<u8> = requests.iter().flat_map(|args| encode(args)).collect();
        let mut parser = Parser::new();
        let mut buffer: Vec<u8> = Vec::new();
        let (mut fed, mut all, mut cuts) = (0, Vec::new(), cuts.into_iter().cycle());
        while fed < bytes.len() {
            let end = (fed + cuts.next().unwrap()).min(bytes.len());
            buffer.extend_from_slice(&bytes[fed..end]);
            fed = end;
            let (some, used, error) = read_all(&mut parser, &buffer, &LIMITS);
            prop_assert_eq!(error, None);
            all.extend(some);
            // The caller may move what is left to the front between calls.
            buffer.drain(..used);
        }
        prop_assert_eq!(all, requests);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn random_bytes_end_in_an_error_or_in_waiting(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        read_all(&mut Parser::new(), &bytes, &LIMITS);
    }
}
