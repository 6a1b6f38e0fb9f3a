//! CRC-64 in the Jones variant, the checksum at the end of RDB files and DUMP payloads.
//!
//! Polynomial 0xad93d23594c935a9, reflected in and out, start 0, no final xor. Eight tables let
//! one step take eight bytes: a checksum is on the path of every full sync.
//! Not known here: what is summed, and what a mismatch means.

const POLYNOMIAL_REFLECTED: u64 = 0x95ac_9329_ac4b_c9b5;

const TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0u64; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL_REFLECTED } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// Continues the checksum `crc` (0 at the start) over `bytes`.
///
/// `crc64(crc64(0, a), b)` equals the checksum of `a` followed by `b`.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let mut crc = crc;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mixed = (crc ^ u64::from_le_bytes(*word)).to_le_bytes();
        crc = 0;
        for (table, byte) in TABLES.iter().rev().zip(mixed) {
            crc ^= table[byte as usize];
        }
    }
    for byte in rest {
        crc = TABLES[0][((crc ^ u64::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::crc64;

    #[test]
    fn agrees_with_the_published_check_value() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn does_not_depend_on_how_the_bytes_are_cut() {
        let bytes: Vec<u8> = (0..1000u32).map(|n| (n * 7 + n / 13) as u8).collect();
        let whole = crc64(0, &bytes);
        for cut in [0, 1, 7, 8, 9, 500, 999, 1000] {
            let (left, right) = bytes.split_at(cut);
            assert_eq!(crc64(crc64(0, left), right), whole, "cut at {cut}");
        }
    }
}
