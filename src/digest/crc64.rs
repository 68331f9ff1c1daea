//! CRC-64/NVME, which Amazon S3 calls CRC64NVME (NVM Express NVM Command Set Specification 1.0, section 5.2.1.3.4).
//!
//! Implemented here because the crate that has all CRCs of this module depends on older versions of the `digest` crates,
//! and few replies claim this CRC.

/// The polynomial, with its bits reversed.
const POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;

/// `TABLES[n][byte]` is the contribution of `byte` to the CRC after `n` further bytes, so that eight bytes are processed
/// at once (slicing-by-8).
static TABLES: [[u64; 256]; 8] = tables();

/// The state of a CRC; starts as `Crc64::default()`.
#[derive(Debug, Clone, Default)]
pub(super) struct Crc64(u64);

impl Crc64 {
    /// Adds the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        // The definition starts with all ones and inverts the result; the state is kept inverted.
        let mut crc = !self.0;
        for word in words {
            let word = crc ^ u64::from_le_bytes(*word);
            crc = (0..8)
                .fold(0, |sum, at| sum ^ TABLES[7 - at][usize::from((word >> (8 * at)) as u8)]);
        }
        for byte in rest {
            crc = TABLES[0][usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
        }
        self.0 = !crc;
    }

    /// The CRC of all bytes so far.
    pub(super) fn finish(&self) -> u64 {
        self.0
    }
}

/// Computes [`TABLES`].
const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ POLYNOMIAL };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut after = 1;
    while after < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc: u64 = tables[after - 1][byte];
            tables[after][byte] = crc >> 8 ^ tables[0][(crc & 0xff) as usize];
            byte += 1;
        }
        after += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test cases of the specification, and the check value of the CRC catalogue.
    #[test]
    fn the_crc_is_that_of_the_specification() {
        let increasing: Vec<u8> = (0..4096).map(|at| at as u8).collect();
        let decreasing: Vec<u8> = increasing.iter().map(|byte| !byte).collect();
        let table: [(&[u8], u64); 5] = [
            (b"123456789", 0xae8b_1486_0a79_9888),
            (&[0; 4096], 0x6482_d367_eb22_b64e),
            (&[0xff; 4096], 0xc0dd_ba73_02ec_a3ac),
            (&increasing, 0x3e72_9f5f_6750_449c),
            (&decreasing, 0x9a2d_f64b_8e9e_517e),
        ];
        for (bytes, expected) in table {
            let mut crc = Crc64::default();
            crc.update(bytes);
            assert_eq!(format!("{:016x}", crc.finish()), format!("{expected:016x}"));
        }
    }
}
