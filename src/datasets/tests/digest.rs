//! The digest of a file is that of its bytes, however long it is.

use std::io::Write as _;

use crate::datasets::dataset::digest;

#[test]
fn a_file_of_many_pieces_has_the_digest_of_its_bytes() {
    let bytes: Vec<u8> = (0..3_000_017_u32).map(|at| (at % 251) as u8).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    // Computed by Python's hashlib over the same bytes.
    let expected = "d39e3524dc23d5a0b2882f1468f1e6703609ee2cdc9a1de1dba8a77858b80f56";
    assert_eq!(digest(&mut file).unwrap(), expected);
}
