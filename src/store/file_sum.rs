//! Size and checksum of a finished journal, by which a later reader knows it whole.

use serde::{Deserialize, Serialize};

/// Size and checksum of a finished journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSum {
    /// Records.
    pub(super) records: u64,
    /// Bytes.
    pub(super) bytes: u64,
    /// CRC-32 of all bytes.
    pub(super) crc32: u32,
}
