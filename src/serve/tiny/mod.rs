#![expect(
    clippy::disallowed_methods,
    reason = "edge: reads the clock, computes on a thread of its own"
)]
//! A small real engine: a Llama model on the CPU, with continuous batching and streaming.

pub(crate) mod answer;
pub(crate) mod args;
pub(crate) mod attention;
pub(crate) mod batcher;
pub(crate) mod bundled;
pub(crate) mod config;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod kv_cache;
pub(crate) mod linear;
pub(crate) mod model;
pub(crate) mod precision;
pub(crate) mod quant;
pub(crate) mod request;
pub(crate) mod sampler;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

pub(crate) use args::TinyArgs;
use batcher::{Batcher, Limits, Submission};
use files::{Loaded, ModelFiles};
use http::HttpServer;

use crate::seed::Seed;
use crate::serve::ServeError;

/// Requests that may wait for the batcher; further ones are answered 503.
const MAX_QUEUED_REQUESTS: usize = 8192;
/// Connections that may wait for `accept`.
const BACKLOG: u32 = 4096;

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// [`ServeError`] if the port cannot be opened or the model cannot be loaded.
pub(crate) fn run(args: &TinyArgs) -> Result<(), ServeError> {
    // The network gets one thread; the other cores compute the model.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::system("cannot start the network's thread"))?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())
            .map_err(ServeError::system("cannot wait for SIGTERM"))?;
        let mut interrupt = signal(SignalKind::interrupt())
            .map_err(ServeError::system("cannot wait for SIGINT"))?;
        let server = Server::start(args)?;
        crate::serve::announce("http", server.address);
        server.run(&mut terminate, &mut interrupt).await
    })
}

/// A port that is open, and a thread that loads the model and then computes.
struct Server {
    address: SocketAddr,
    listener: TcpListener,
    http: Arc<HttpServer>,
    failed: oneshot::Receiver<ServeError>,
}

impl Server {
    fn start(args: &TinyArgs) -> Result<Self, ServeError> {
        let address = SocketAddr::new(args.host, args.port);
        let listener = listen(address).map_err(|source| ServeError::Bind { address, source })?;
        let address = listener
            .local_addr()
            .map_err(ServeError::system("cannot tell the address of the port"))?;
        let (submit, submissions) = mpsc::channel(MAX_QUEUED_REQUESTS);
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let http_server =
            Arc::new(HttpServer::new(model_id(args), Seed(args.seed), created, submit));
        let (report, failed) = oneshot::channel();
        let (args, behind) = (args.clone(), Arc::clone(&http_server));
        std::thread::spawn(move || {
            if let Err(error) = load_and_compute(&args, &behind, submissions) {
                // The receiver is gone when the server has already ended for another reason.
                let _ = report.send(error);
            }
        });
        Ok(Self { address, listener, http: http_server, failed })
    }

    async fn run(
        mut self,
        terminate: &mut Signal,
        interrupt: &mut Signal,
    ) -> Result<(), ServeError> {
        let mut may_fail = true;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                failed = &mut self.failed, if may_fail => match failed {
                    Ok(error) => return Err(error),
                    Err(_) => may_fail = false,
                },
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => self.serve_connection(stream),
                    Err(error) => {
                        // File descriptors have run out. Connections that end free some.
                        log(&format!("cannot accept a connection: {error}"));
                        tokio::task::yield_now().await;
                    }
                },
            }
        }
    }

    fn serve_connection(&self, stream: tokio::net::TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            log(&format!("cannot send small packets at once: {error}"));
        }
        let http_server = Arc::clone(&self.http);
        tokio::spawn(async move {
            let service = service_fn(move |request| Arc::clone(&http_server).serve(request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client may leave at any time. Its own errors are reported in the response.
            let _ = connection.await;
        });
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn model_id(args: &TinyArgs) -> String {
    let directory_name = || {
        let name = args.model.as_deref().and_then(Path::file_name)?;
        Some(name.to_string_lossy().into_owned())
    };
    args.served_model_name.clone().or_else(directory_name).unwrap_or_else(|| "tiny".to_owned())
}

/// Loads the model, opens the server for requests, and computes until the server ends.
fn load_and_compute(
    args: &TinyArgs,
    http_server: &HttpServer,
    mut submissions: mpsc::Receiver<Submission>,
) -> Result<(), ServeError> {
    let loaded = Arc::new(load(args)?);
    http_server.open(Arc::clone(&loaded));
    log("model loaded, ready to answer");
    let limits = Limits {
        max_num_seqs: args.max_num_seqs,
        max_num_batched_tokens: args.max_num_batched_tokens,
        n_threads: args.threads,
    };
    Batcher::new(loaded, limits, http_server.counters()).run(&mut submissions);
    Ok(())
}

fn load(args: &TinyArgs) -> Result<Loaded, ServeError> {
    let start = Instant::now();
    let directory = args.model.as_deref();
    let files = match directory {
        Some(directory) => ModelFiles::read(directory)?,
        None => bundled::model_files(),
    };
    log(&format!("Reading files took {:.4} seconds", start.elapsed().as_secs_f64()));
    let start = Instant::now();
    let loaded =
        files.load(args.precision, args.max_model_len, &args.day).map_err(|(file, reason)| {
            let path = directory.unwrap_or(Path::new("bundled model")).join(file);
            ServeError::Format { path, reason }
        })?;
    log(&format!(
        "Loading weights took {:.4} seconds ({}, {} bytes, context of {} tokens)",
        start.elapsed().as_secs_f64(),
        args.precision.name(),
        loaded.model.n_weight_bytes(),
        loaded.max_model_len,
    ));
    Ok(loaded)
}

fn log(line: &str) {
    // A closed log must not end the server.
    let _ = writeln!(std::io::stderr(), "{line}");
}
