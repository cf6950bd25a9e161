//! MD5 and the checksums that S3 declares: over a stream, and of what is put together from parts.

use crc_fast::{CrcAlgorithm, Digest as Crc};
use fast_md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::model::checksums::{ChecksumAlgorithm, ChecksumType};

/// The digests of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// Always computed: it is the `ETag`.
    pub md5: [u8; 16],
    /// Those asked for, values most significant byte first.
    pub checksums: Vec<(ChecksumAlgorithm, Vec<u8>)>,
}

impl Digests {
    /// The value of a checksum that was asked for.
    pub fn checksum(&self, algorithm: ChecksumAlgorithm) -> Option<&[u8]> {
        let found = self.checksums.iter().find(|(present, _)| *present == algorithm);
        found.map(|(_, value)| value.as_slice())
    }
}

/// Computes digests.
pub struct Digester {
    md5: Md5,
    checksums: Vec<(ChecksumAlgorithm, Running)>,
}

enum Running {
    Crc(Crc),
    Sha1(Sha1),
    Sha256(Sha256),
}

/// The CRC that an algorithm is, if it is one.
fn crc_of(algorithm: ChecksumAlgorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => None,
    }
}

fn crc_bytes(algorithm: ChecksumAlgorithm, value: u64) -> Vec<u8> {
    let bytes = if algorithm == ChecksumAlgorithm::Crc64Nvme { 8 } else { 4 };
    value.to_be_bytes()[8 - bytes..].to_vec()
}

impl Running {
    fn new(algorithm: ChecksumAlgorithm) -> Self {
        match (crc_of(algorithm), algorithm) {
            (Some(crc), _) => Self::Crc(Crc::new(crc)),
            (None, ChecksumAlgorithm::Sha1) => Self::Sha1(Sha1::new()),
            (None, _) => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(crc) => crc.update(bytes),
            Self::Sha1(sha1) => sha1.update(bytes),
            Self::Sha256(sha256) => sha256.update(bytes),
        }
    }

    fn finish(self, algorithm: ChecksumAlgorithm) -> Vec<u8> {
        match self {
            Self::Crc(crc) => crc_bytes(algorithm, crc.finalize()),
            Self::Sha1(sha1) => sha1.finalize().to_vec(),
            Self::Sha256(sha256) => sha256.finalize().to_vec(),
        }
    }
}

impl Digester {
    /// MD5 and those asked for, each once.
    pub fn new(asked: &[ChecksumAlgorithm]) -> Self {
        let mut asked = asked.to_vec();
        asked.sort_unstable();
        asked.dedup();
        let checksums = asked.into_iter().map(|algorithm| (algorithm, Running::new(algorithm))).collect();
        Self { md5: Md5::new(), checksums }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        for (_, running) in &mut self.checksums {
            running.update(bytes);
        }
    }

    /// The digests of everything taken.
    pub fn finish(self) -> Digests {
        let checksums =
            self.checksums.into_iter().map(|(algorithm, running)| (algorithm, running.finish(algorithm)));
        Digests { md5: self.md5.finalize(), checksums: checksums.collect() }
    }
}

/// The checksum of bytes in memory.
pub fn checksum(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Vec<u8> {
    let mut running = Running::new(algorithm);
    running.update(bytes);
    running.finish(algorithm)
}

/// The checksum of a whole from those of its parts, each with its length in bytes. `None` for one over all bytes by
/// SHA, which does not follow from the parts' own.
pub fn checksum_of_parts(
    algorithm: ChecksumAlgorithm,
    over: ChecksumType,
    parts: &[(&[u8], u64)],
) -> Option<Vec<u8>> {
    if over == ChecksumType::Composite {
        let mut running = Running::new(algorithm);
        for (value, _) in parts {
            running.update(value);
        }
        return Some(running.finish(algorithm));
    }
    let crc = crc_of(algorithm)?;
    let number = |value: &[u8]| value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let whole = parts.iter().fold(crc_fast::checksum(crc, &[]), |whole, (value, bytes)| {
        crc_fast::checksum_combine(crc, whole, number(value), *bytes)
    });
    Some(crc_bytes(algorithm, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_is_that_of_the_reference_whatever_the_pieces() {
        let data: Vec<u8> = (0..1000_u32).map(|i| ((i * 7919) >> 3) as u8).collect();
        for len in (0..200).chain([447, 448, 511, 512, 513, 1000]) {
            for piece in [1, 3, 64, 65, 1000] {
                let mut digester = Digester::new(&[]);
                data[..len].chunks(piece).for_each(|piece| digester.update(piece));
                let reference = <md5::Md5 as md5::Digest>::digest(&data[..len]);
                assert_eq!(digester.finish().md5, <[u8; 16]>::from(reference), "{len} bytes by {piece}");
            }
        }
    }

    #[test]
    fn the_checksum_of_the_whole_follows_from_those_of_its_parts() {
        use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme, Sha256};
        use ChecksumType::{Composite, FullObject};
        for algorithm in [Crc32, Crc32c, Crc64Nvme] {
            let values =
                [&b"1234"[..], b"", b"56789"].map(|part| (checksum(algorithm, part), part.len() as u64));
            let parts = values.each_ref().map(|(value, bytes)| (value.as_slice(), *bytes));
            let whole = checksum_of_parts(algorithm, FullObject, &parts);
            assert_eq!(whole, Some(checksum(algorithm, b"123456789")), "{algorithm:?}");
        }
        let (first, second) = (checksum(Sha256, b"1234"), checksum(Sha256, b"5"));
        let composite = checksum_of_parts(Sha256, Composite, &[(&first, 4), (&second, 1)]);
        assert_eq!(composite, Some(checksum(Sha256, &[first.clone(), second].concat())));
        assert_eq!(checksum_of_parts(Sha256, FullObject, &[(&first, 4)]), None);
    }

    #[test]
    fn digests_of_123456789_are_the_catalogue_ones() {
        use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
        let mut digester = Digester::new(&[Sha256, Crc32, Crc32c, Crc64Nvme, Sha1, Crc32]);
        digester.update(b"1234");
        digester.update(b"56789");
        let digests = digester.finish();
        assert_eq!(hex::encode(digests.md5), "25f9e794323b453885f5181f1b624d0b");
        let cases = [
            (Crc32, "cbf43926"),
            (Crc32c, "e3069283"),
            (Crc64Nvme, "ae8b14860a799888"),
            (Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ];
        assert_eq!(digests.checksums.len(), cases.len());
        for (algorithm, value) in cases {
            assert_eq!(hex::encode(digests.checksum(algorithm).unwrap()), value, "{algorithm:?}");
        }
    }
}
