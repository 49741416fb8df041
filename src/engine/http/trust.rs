//! Whom to believe on `https`: the system's authorities, and what the scenario adds to them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// Why no certificate could be believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The scenario's file cannot be read.
    #[error("read `ca` {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The scenario's file holds something else.
    #[error("read `ca` {}: it holds no PEM certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// Nobody is trusted at all.
    #[error(
        "find authorities to trust on https{why}; install ca-certificates, set SSL_CERT_FILE, or \
         name the engine's own certificate: `ca = \"engine.pem\"`"
    )]
    Nobody {
        /// What the system said, with a separator in front.
        why: String,
    },
    /// The TLS library refuses the settings.
    #[error("set up TLS: {0}")]
    Tls(String),
}

/// Returns how connections to an engine are secured; nothing is read where they are not.
///
/// # Errors
/// [`TrustError`] for `https` alone.
pub(crate) fn tls(base_url: &str, ca: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let provider = Arc::new(ring::default_provider());
    let tls = |error: &dyn std::fmt::Display| TrustError::Tls(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(&error))?;
    let mut config = if base_url.starts_with("https://") {
        let listed = ca.map(listed).transpose()?.unwrap_or_default();
        let roots = Arc::new(roots(&listed)?);
        let chains = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| tls(&error))?;
        let verifier = Arc::new(Verifier { listed, chains });
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    } else {
        builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Returns the certificates of a PEM file.
fn listed(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let text = fs::read(path)
        .map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TrustError::NoCertificate { path: path.to_owned() }),
    }
}

/// Returns the system's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` are respected) and the
/// listed ones.
fn roots(listed: &[CertificateDer<'static>]) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    roots.add_parsable_certificates(listed.iter().cloned());
    if roots.is_empty() {
        let why = system.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(TrustError::Nobody { why });
    }
    Ok(roots)
}

/// Believes chains that end at an authority, and the listed certificates as they are.
///
/// A self-signed certificate as `openssl req -x509` makes it is marked as an authority, which
/// may not serve by itself; listed byte for byte it needs no chain.
#[derive(Debug)]
struct Verifier {
    listed: Vec<CertificateDer<'static>>,
    chains: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.listed.iter().any(|listed| listed == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Says why a certificate is not believed.
pub(crate) fn disbelief(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet"
        }
        CertificateError::UnknownIssuer => "no authority that is trusted here has signed it",
        CertificateError::NotValidForName => "it is that of another host",
        CertificateError::BadSignature => "its signature is wrong",
        CertificateError::Revoked => "it was revoked",
        // The library that names it so is none of this program's.
        CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
            "it is an authority's own, as self-signed ones are, and not on the list of trusted ones"
        }
        other => return other.to_string(),
    }
    .to_owned()
}

/// Returns what TLS objects to, if that is why a call failed.
pub(crate) fn objection<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // An I/O error tells of the causes below the one that it carries, but not of that one.
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(tls) = carried.and_then(|carried| carried.downcast_ref()) {
            return Some(tls);
        }
        cause = match carried {
            Some(carried) => Some(carried),
            None => error.source(),
        };
    }
    None
}
