//! A fake of the GPU vendor's library, compiled here: two GPUs, and none is needed.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The fake library and the file that is its state.
pub(crate) struct FakeGpus {
    dir: tempfile::TempDir,
}

impl FakeGpus {
    pub(crate) fn new() -> Self {
        let fake = Self { dir: tempfile::tempdir().unwrap() };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/fake_nvml.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-w", "-o"])
            .arg(fake.library())
            .arg(format!("-DSTATE=\"{}\"", fake.state().display()))
            .arg(source)
            .status()
            .unwrap();
        assert!(built.success());
        fake
    }

    pub(crate) fn library(&self) -> OsString {
        self.dir.path().join("libnvidia-ml.so.1").into_os_string()
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn set(&self, state: &str) {
        fs::write(self.state(), state).unwrap();
    }
}
