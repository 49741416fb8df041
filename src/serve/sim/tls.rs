#![expect(clippy::disallowed_methods, reason = "edge: reads a chain of certificates and its key")]
//! TLS over a connection of the simulated engine: bytes in, bytes out, no socket of its own.

use std::fmt::Display;
use std::fs;
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::serve::ServeError;

/// Reads what the engine shows for itself: a chain of certificates, and the key of the first one,
/// in one PEM file.
///
/// # Errors
/// [`ServeError`] if the file cannot be read, lacks one of both, or if the key is of another
/// certificate.
pub(crate) fn config(path: &Path) -> Result<Arc<ServerConfig>, ServeError> {
    let not_it = |reason: &dyn Display| ServeError::Format {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let text =
        fs::read(path).map_err(|source| ServeError::File { path: path.to_owned(), source })?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| not_it(&format_args!("no certificates: {error}")))?;
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| not_it(&format_args!("no private key: {error}")))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| not_it(&error))?;
    Ok(Arc::new(config))
}

/// The state of TLS on one connection.
#[derive(Debug)]
pub(crate) struct Tls(Box<ServerConnection>);

impl Tls {
    /// Returns a connection whose client has said nothing yet.
    ///
    /// # Errors
    /// The settings cannot serve a connection.
    pub(crate) fn new(config: &Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self(Box::new(ServerConnection::new(Arc::clone(config))?)))
    }

    /// Takes bytes of the socket in and appends what they mean to `inbox`.
    ///
    /// # Errors
    /// The client speaks no TLS, or does not like the certificate; the alert is to be sent.
    pub(crate) fn receive(&mut self, mut bytes: &[u8], inbox: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            let state = self.0.process_new_packets().map_err(io::Error::other)?;
            let n_plain = state.plaintext_bytes_to_read() as u64;
            self.0.reader().take(n_plain).read_to_end(inbox)?;
        }
        Ok(())
    }

    /// Takes bytes for the client, as many as there is room for. [`send`](Self::send) sends them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.writer().write(bytes)
    }

    /// Whether the socket has not accepted all that there is to send.
    pub(crate) fn has_unsent(&self) -> bool {
        self.0.wants_write()
    }

    /// Sends what there is, as long as the socket accepts it.
    ///
    /// # Errors
    /// The client has disconnected.
    pub(crate) fn send(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.0.wants_write() {
            match self.0.write_tls(socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
