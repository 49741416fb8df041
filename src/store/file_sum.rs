//! Size and checksum of a finished journal. A reader recognises by them that it is whole.

use serde::{Deserialize, Serialize};

/// Size and checksum of a finished journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSum {
    /// Number of records.
    pub(super) records: u64,
    /// Number of bytes.
    pub(super) bytes: u64,
    /// CRC-32 of all bytes.
    pub(super) crc32: u32,
}
