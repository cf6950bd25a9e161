//! The checksums that S3 lets a client declare, and that are kept with an object.

/// The checksums that S3 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC), 4 bytes.
    Crc32,
    /// CRC-32C (iSCSI), 4 bytes.
    Crc32c,
    /// CRC-64/NVME, 8 bytes.
    Crc64Nvme,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

/// What a multipart object's checksum is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumType {
    /// All bytes of the object.
    FullObject,
    /// The concatenated checksums of its parts.
    Composite,
}

/// A verified checksum, kept with the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// Which.
    pub algorithm: ChecksumAlgorithm,
    /// Its bytes, most significant first.
    pub value: Vec<u8>,
    /// Over what.
    pub over: ChecksumType,
}
