//! TLS for tests: a front that passes the bytes of its connections to a server that speaks none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a front shows for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// Signed by itself and marked as an authority, as `openssl req -x509` makes it.
    SelfSigned,
    /// Signed by an authority.
    Signed,
    /// Signed by an authority, and over since 2001.
    Expired,
    /// Signed by an authority, of a server that speaks HTTP/2 and nothing else.
    Http2Alone,
}

/// A running front. Its thread ends with the test's process.
pub(crate) struct Front {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The certificate of its authority, or its own if it signed it, as PEM.
    pub(crate) authority: String,
    /// Connections that were secured.
    pub(crate) n_secured: Arc<AtomicU64>,
}

impl Front {
    /// Starts a front before a server.
    pub(crate) fn before(server: SocketAddr, certificate: Certificate) -> Self {
        let (chain, key, authority) = made(certificate);
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        if certificate == Certificate::Http2Alone {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let n_secured = Arc::new(AtomicU64::new(0));
        let front = Self {
            address: "127.0.0.1:0".parse().unwrap(),
            authority,
            n_secured: Arc::clone(&n_secured),
        };
        let listener = std::net::TcpListener::bind(front.address).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || serve(listener, server, &acceptor, &n_secured));
        Self { address, ..front }
    }

    /// Returns the base URL.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

fn serve(
    listener: std::net::TcpListener,
    server: SocketAddr,
    acceptor: &TlsAcceptor,
    n_secured: &Arc<AtomicU64>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            let (outside, _) = listener.accept().await.unwrap();
            outside.set_nodelay(true).unwrap();
            let (acceptor, n_secured) = (acceptor.clone(), Arc::clone(n_secured));
            tokio::spawn(async move {
                // A client that does not like the certificate, or a server that is gone, is what
                // some tests are about.
                let Ok(mut outside) = acceptor.accept(outside).await else { return };
                n_secured.fetch_add(1, Ordering::Relaxed);
                let Ok(mut inside) = TcpStream::connect(server).await else { return };
                inside.set_nodelay(true).unwrap();
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
}

type Made = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, String);

/// Returns chain, key, and the certificate to trust.
fn made(certificate: Certificate) -> Made {
    let key = KeyPair::generate().unwrap();
    let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let names = ["127.0.0.1", "localhost", "engine.invalid"].map(str::to_owned).to_vec();
    let mut params = CertificateParams::new(names).unwrap();
    if certificate == Certificate::SelfSigned {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap();
        return (vec![own.der().clone()], secret, own.pem());
    }
    if certificate == Certificate::Expired {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    }
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let trusted = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let signed = params.signed_by(&key, &issuer).unwrap();
    (vec![signed.der().clone()], secret, trusted.pem())
}
