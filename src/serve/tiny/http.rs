//! The HTTP server of the tiny engine. It listens from the start and answers 503 until the model
//! is loaded.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::mpsc;

use super::answer::{AnswerShape, ChunkWriter, WholeWriter, json};
use super::batcher::{Event, Submission};
use super::files::Loaded;
use super::request::{Prepared, prepare, tokenize};
use crate::openai::body::{ErrorBody, GenerationRequest, ModelList};
use crate::seed::Seed;
use crate::serve::counters::Counters;

/// Longest body of a request.
const MAX_BODY_BYTES: usize = 16 << 20;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct HttpServer {
    model_id: String,
    seed: Seed,
    created: u64,
    loaded: OnceLock<Arc<Loaded>>,
    submissions: mpsc::Sender<Submission>,
    counters: Arc<Mutex<Counters>>,
    n_requests: AtomicU64,
}

impl HttpServer {
    /// Returns a server without a model; `created` is in seconds since 1970.
    pub(crate) fn new(
        model_id: String,
        seed: Seed,
        created: u64,
        submissions: mpsc::Sender<Submission>,
    ) -> Self {
        Self {
            model_id,
            seed,
            created,
            loaded: OnceLock::new(),
            submissions,
            counters: Arc::default(),
            n_requests: AtomicU64::new(0),
        }
    }

    /// Returns the counters that the batcher keeps up to date.
    pub(crate) fn counters(&self) -> Arc<Mutex<Counters>> {
        Arc::clone(&self.counters)
    }

    /// Gives the server its model. Requests are answered from now on.
    pub(crate) fn open(&self, loaded: Arc<Loaded>) {
        // A second model is ignored.
        let _ = self.loaded.set(loaded);
    }

    /// Answers one request.
    ///
    /// # Errors
    /// None: every failure becomes a response.
    pub(crate) async fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let Some(loaded) = self.loaded.get().cloned() else {
            return Ok(error(&ErrorBody::new(503, "Loading model")));
        };
        let path = request.uri().path().to_owned();
        Ok(match (request.method(), path.as_str()) {
            (&Method::GET, "/health" | "/ping") => ok("application/json", r#"{"status":"ok"}"#),
            (&Method::GET, "/v1/models") => {
                let max_model_len = Some(loaded.max_model_len as u32);
                ok_json(json(&ModelList::of(&self.model_id, "bench", max_model_len)))
            }
            (&Method::GET, "/version") => ok(
                "application/json",
                concat!(r#"{"version":""#, env!("CARGO_PKG_VERSION"), r#""}"#),
            ),
            (&Method::GET, "/metrics") => {
                let counters = *self.counters.lock().unwrap_or_else(PoisonError::into_inner);
                ok("text/plain; version=0.0.4", counters.prometheus(&self.model_id))
            }
            (&Method::POST, "/v1/completions") => self.generate(false, request, loaded).await,
            (&Method::POST, "/v1/chat/completions") => self.generate(true, request, loaded).await,
            (&Method::POST, "/tokenize") => {
                let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await;
                let answer = body
                    .map_err(|reason| ErrorBody::new(400, reason.to_string()))
                    .and_then(|body| {
                        serde_json::from_slice(&body.to_bytes())
                            .map_err(|reason| ErrorBody::new(400, reason.to_string()))
                    })
                    .and_then(|request| tokenize(&request, &loaded));
                answer.map_or_else(|body| error(&body), |answer| ok_json(json(&answer)))
            }
            (_, path) => error(&ErrorBody::new(404, format!("there is no {path} here"))),
        })
    }

    async fn generate(
        &self,
        chat: bool,
        request: Request<Incoming>,
        loaded: Arc<Loaded>,
    ) -> Response<AnswerBody> {
        let bytes = match Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(reason) => return error(&ErrorBody::new(400, reason.to_string())),
        };
        let request: GenerationRequest = match serde_json::from_slice(&bytes) {
            Ok(request) => request,
            Err(reason) => return error(&ErrorBody::new(400, reason.to_string())),
        };
        if let Some(model) = request.model.as_deref().filter(|model| *model != self.model_id) {
            let message = format!("The model `{model}` does not exist.");
            return error(&ErrorBody::new(404, message).about("model"));
        }
        let number = self.n_requests.fetch_add(1, Ordering::Relaxed);
        let rng = self.seed.stream(&format!("sampling of request {number}"));
        let Prepared { submission, events } = match prepare(&request, chat, &loaded, rng) {
            Ok(prepared) => prepared,
            Err(body) => return error(&body),
        };
        let kind = if chat { "chatcmpl" } else { "cmpl" };
        let shape = AnswerShape {
            chat,
            id: format!("{kind}-{number}"),
            created: self.created,
            model: self.model_id.clone(),
            n_prompt: submission.prompt.len() as u32,
            wants_logprobs: request.wants_logprobs(),
            wants_usage: request.wants_usage(),
        };
        if self.submissions.try_send(submission).is_err() {
            return error(&ErrorBody::new(503, "too many requests are waiting"));
        }
        if request.is_stream() {
            let body = AnswerBody::Stream(Box::new(AnswerStream {
                events,
                writer: ChunkWriter::new(shape),
                loaded,
                is_done: false,
            }));
            return response(StatusCode::OK, "text/event-stream; charset=utf-8", body);
        }
        collect(shape, events, &loaded).await
    }
}

/// Waits for the whole answer. When the client leaves, hyper drops this future with the receiver
/// of events, and the batcher sees the closed channel.
async fn collect(
    shape: AnswerShape,
    mut events: mpsc::Receiver<Event>,
    loaded: &Loaded,
) -> Response<AnswerBody> {
    let mut writer = WholeWriter::new(shape);
    while let Some(event) = events.recv().await {
        if writer.take(event) {
            return ok_json(writer.into_body(&loaded.tokenizer));
        }
    }
    error(&ErrorBody::new(500, "the engine stopped in the middle of the answer"))
}

/// A response's body.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    /// A whole body.
    Full(Full<Bytes>),
    /// A stream of events.
    Stream(Box<AnswerStream>),
}

/// The events of one answer.
#[derive(Debug)]
pub(crate) struct AnswerStream {
    events: mpsc::Receiver<Event>,
    writer: ChunkWriter,
    loaded: Arc<Loaded>,
    is_done: bool,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = EngineGone;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EngineGone>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Stream(stream) => stream.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Stream(stream) => stream.is_done,
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Stream(_) => hyper::body::SizeHint::default(),
        }
    }
}

impl AnswerStream {
    /// Returns the events of the next token. A frame never holds tokens of two steps.
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EngineGone>>> {
        while !self.is_done {
            let Some(event) = ready!(self.events.poll_recv(context)) else {
                self.is_done = true;
                return Poll::Ready(Some(Err(EngineGone)));
            };
            let mut out = Vec::new();
            self.is_done = self.writer.write(event, &self.loaded.tokenizer, &mut out);
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
        }
        Poll::Ready(None)
    }
}

/// The batcher ended before the answer did, so the connection is cut.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the engine stopped in the middle of the answer")]
pub(crate) struct EngineGone;

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: AnswerBody,
) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}

fn full(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<AnswerBody> {
    response(status, content_type, AnswerBody::Full(Full::new(body)))
}

fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Response<AnswerBody> {
    full(StatusCode::OK, content_type, body.into())
}

fn ok_json(body: Vec<u8>) -> Response<AnswerBody> {
    ok("application/json", body)
}

fn error(body: &ErrorBody) -> Response<AnswerBody> {
    let status = body
        .error
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    full(status, "application/json", json(body).into())
}
