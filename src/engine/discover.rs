//! What a server that runs already offers: its models, the API that answers, a tokenizer.

use std::convert::Infallible;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::Url;
use serde_json::{Value, json};

use crate::clock::monotonic;
use crate::engine::credentials::Access;
use crate::engine::http::{Answer, Http, HttpError, trust};
use crate::engine::ready::answer::{Meaning, NO_SUCH_API, Remedy, meaning};
use crate::engine::ready::models::listed;
use crate::engine::ready::probe::{self, Extent, NoToken, OPTIONAL, ProbeRequest};
use crate::engine::tokenize;
use crate::load::transport::http1_framing::ResponseReader;
use crate::load::transport::url::path_and_query;
use crate::plan::cell::Api;
use crate::plan::launch::{Launch, Quirks};
use crate::units::Nanos;

/// Time for a list of models or a count of tokens: somebody sits in front of the terminal.
const CALL_LIMIT: Duration = Duration::from_secs(8);
/// Time for the first answer: some servers load the model for it.
pub const ANSWER_LIMIT: Duration = Duration::from_mins(5);
/// Characters of an answer that are shown.
const SHOWN_CHARS: usize = 300;
/// Most bytes of an answer that is read for its end alone.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Time in which a server that closes its connections has done so.
const CLOSING_TAKES: Duration = Duration::from_millis(300);
/// The field of the limit that some servers take, and name where they refuse the older one.
const NEWER_LIMIT: &str = "max_completion_tokens";
/// Time in which a server that says "not yet" is asked again, and the pause between.
const NOT_YET_LIMIT: Nanos = Nanos::from_secs(5);
const NOT_YET_PAUSE: Duration = Duration::from_millis(500);
/// Bodies by which a request is refused for what it holds, not for where it goes.
const REFUSES_BODY: [u16; 2] = [400, 422];

/// Why a server cannot be measured as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoOffer {
    /// What was tried, and what came.
    pub message: String,
    /// What to do next.
    pub help: String,
}

/// What to do where a server asks for a key.
pub const ASKS_FOR_KEY: &str = "name the variable that holds its key: --api-key-env OPENAI_API_KEY";

/// A running server.
#[derive(Debug)]
pub struct Server<'a> {
    http: Http,
    launch: &'a Launch,
}

/// The way in which a server answers with tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// Endpoint.
    pub api: Api,
    /// Path below the URL.
    pub path: &'static str,
    /// Whether it streams.
    pub stream: bool,
    /// Fields of [`OPTIONAL`] that it does not take.
    pub refused: Vec<&'static str>,
    /// Whether it takes `max_tokens`; else `max_completion_tokens`.
    pub takes_max_tokens: bool,
    /// Time that the answer took.
    pub took: Nanos,
    /// Output tokens of the answer, where the server counted them.
    pub output_tokens: Option<u32>,
    /// What came of the API that is asked first, where it is another one.
    pub instead: Option<String>,
    /// How much of an answer is asked for to see this.
    extent: Extent,
}

impl Spoken {
    /// Whether the server takes a field of [`OPTIONAL`].
    pub fn takes(&self, field: &str) -> bool {
        !self.refused.contains(&field)
    }

    fn refuses(&mut self, fields: &[&'static str]) {
        let more = fields.iter().copied().filter(|field| !self.refused.contains(field));
        self.refused.extend(more.collect::<Vec<_>>());
    }
}

/// What is asked for, to see whether it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Model id.
    pub model: &'a str,
    /// The prompt.
    pub prompt: &'a str,
    /// Most tokens of an answer of the load; absent where it is not one number for all.
    pub max_tokens: Option<u32>,
}

impl<'a> Server<'a> {
    /// Makes a client for the server of a launch that starts nothing.
    ///
    /// # Errors
    /// When there is nothing to trust on `https`, or no client can be made.
    pub fn of(launch: &'a Launch, access: Access) -> Result<Self, NoOffer> {
        let url = &launch.base_url;
        let tls = trust::tls(url, launch.ca.as_deref()).map_err(|error| NoOffer {
            message: format!("cannot {error}"),
            help: "install ca-certificates, or set SSL_CERT_FILE".to_owned(),
        })?;
        let http = Http::new(url, access, &tls).map_err(|error: io::Error| NoOffer {
            message: format!("cannot make an HTTP client for {url}: {error}"),
            help: "is the URL right?".to_owned(),
        })?;
        Ok(Self { http, launch })
    }

    /// Returns the ids of the models that are served; what came instead where it has no list.
    ///
    /// # Errors
    /// When nothing answers, when a key is needed, or when the server redirects.
    pub fn models(&self, path: &str) -> Result<Result<Vec<String>, String>, NoOffer> {
        let url = self.http.url(path);
        let answer = self.http.get_plain(path, CALL_LIMIT).map_err(|error| unreachable(&error))?;
        if let Meaning::Never(remedy) =
            meaning(answer.status, &url, path, answer.location.as_deref())
        {
            return Err(said_no("GET", &url, &answer, &remedy));
        }
        if answer.status >= 500 {
            let remedy = Remedy::Said("wait until it is ready, or look into its log");
            return Err(said_no("GET", &url, &answer, &remedy));
        }
        let models = listed(&answer.body).unwrap_or_default();
        let models = models.into_iter().map(|model| model.id).collect::<Vec<_>>();
        Ok(if answer.is_success() && !models.is_empty() {
            Ok(models)
        } else {
            Err(answered("GET", &url, &answer))
        })
    }

    /// Finds an API that answers with tokens: chat before completions, streams before whole
    /// answers, and no field that the server does not take.
    ///
    /// # Errors
    /// What was tried and what came, when none does.
    pub fn speak(
        &self,
        question: Question<'_>,
        on_wait: &mut dyn FnMut(Nanos),
    ) -> Result<Spoken, NoOffer> {
        let quirks = &self.launch.quirks;
        let mut tried = Vec::new();
        let (mut refuses_body, mut fails) = (false, false);
        let begun = monotonic();
        for api in [Api::Chat, Api::Completions] {
            let mut known = Spoken {
                api,
                path: api.usual_path(),
                stream: true,
                refused: Vec::new(),
                takes_max_tokens: !quirks.max_completion_tokens,
                took: Nanos::ZERO,
                output_tokens: None,
                instead: tried.last().cloned(),
                extent: Extent::Short,
            };
            let is_omitted = |field: &&str| quirks.omit.iter().any(|name| name == field);
            known.refuses(&OPTIONAL.into_iter().filter(is_omitted).collect::<Vec<_>>());
            let mut forms = FORMS.iter();
            let mut form = forms.next();
            while let Some((stream, left_out)) = form {
                let mut spoken = Spoken { stream: *stream, ..known.clone() };
                spoken.refuses(left_out);
                match self.ask(&spoken, question, on_wait)? {
                    Reply::Tokens { took, output_tokens } => {
                        return Ok(Spoken { took, output_tokens, ..spoken });
                    }
                    Reply::RefusesBody(why, _)
                        if known.takes_max_tokens && why.contains(NEWER_LIMIT) =>
                    {
                        known.takes_max_tokens = false;
                    }
                    Reply::RefusesBody(why, next) => {
                        refuses_body = true;
                        if let Some(field) = probe::blamed(&why, |field| spoken.takes(field)) {
                            known.refuses(&[field]);
                        } else if known.extent != next {
                            known.extent = next;
                        } else {
                            tried.push(why);
                            form = forms.next();
                        }
                    }
                    Reply::NotYet { why, is_fault } => {
                        let waited = monotonic().saturating_sub(begun);
                        if waited > NOT_YET_LIMIT && is_fault {
                            fails = true;
                            tried.push(why);
                            form = None;
                            continue;
                        }
                        if waited > NOT_YET_LIMIT {
                            return Err(NoOffer {
                                message: format!("waited {waited} for a token: {why}"),
                                help: "wait until it is ready and free, or look into its log"
                                    .to_owned(),
                            });
                        }
                        std::thread::sleep(NOT_YET_PAUSE);
                    }
                    Reply::Other(why) => {
                        tried.push(why);
                        form = None;
                    }
                }
            }
        }
        tried.dedup();
        Err(NoOffer {
            message: format!(
                "{} sends no token of model `{}`: {}",
                self.launch.base_url,
                question.model,
                tried.join("; ")
            ),
            help: if fails {
                "it takes the request and fails: its log says why"
            } else if refuses_body {
                "`--set 'engine.server.quirks.omit=[\"FIELD\"]'` leaves a field of the request out"
            } else {
                "is this the URL of an OpenAI-compatible server, and of that model? The part \
                 before /v1 is given"
            }
            .to_owned(),
        })
    }

    /// Asks for a whole answer in the form that was found; returns how long it took and what came.
    ///
    /// # Errors
    /// What came instead of tokens.
    pub fn again(
        &self,
        spoken: &Spoken,
        question: Question<'_>,
        on_wait: &mut dyn FnMut(Nanos),
    ) -> Result<Spoken, NoOffer> {
        let whole = Spoken { extent: Extent::Whole, ..spoken.clone() };
        match self.ask(&whole, question, on_wait)? {
            Reply::Tokens { took, output_tokens } => {
                Ok(Spoken { took, output_tokens, ..spoken.clone() })
            }
            Reply::RefusesBody(why, _) | Reply::NotYet { why, .. } | Reply::Other(why) => {
                Err(NoOffer {
                    message: why,
                    help: "a shorter request may do: --input and --output say how long it is"
                        .to_owned(),
                })
            }
        }
    }

    /// Whether the server closes a connection after a streamed answer without announcing it, so
    /// that a request on the same connection would be lost. Seen on plain HTTP without a proxy;
    /// elsewhere, and where the answer never ends, it is taken for one that does not.
    pub fn closes_unannounced(&self, spoken: &Spoken, question: Question<'_>) -> bool {
        let url = self.http.url(spoken.path);
        let (launch, request) = self.probe(spoken, question);
        let body = probe::body(&launch, &request, question.prompt, spoken.extent).to_string();
        self.http.is_direct()
            && spoken.stream
            && closes_after(&url, &self.http.stream_head(), &body).unwrap_or(false)
    }

    /// Returns the tokens that the server's tokenizer counts in a text, if it tells.
    pub fn count_tokens(&self, model: &str, text: &str) -> Option<u32> {
        tokenize::count(&self.http, model, text)
    }

    fn ask(
        &self,
        spoken: &Spoken,
        question: Question<'_>,
        on_wait: &mut dyn FnMut(Nanos),
    ) -> Result<Reply, NoOffer> {
        let (launch, request) = self.probe(spoken, question);
        let started = monotonic();
        let mut look = || {
            on_wait(monotonic().saturating_sub(started));
            Ok::<(), Infallible>(())
        };
        let (extent, limit) = (spoken.extent, ANSWER_LIMIT);
        let asked =
            probe::ask(&self.http, &launch, &request, question.prompt, extent, limit, &mut look)
                .unwrap_or_else(|never| match never {});
        let no_token = match asked.map_err(|error| unreachable(&error))? {
            Ok(answer) => {
                let took = answer.ended_at.saturating_sub(started);
                return Ok(Reply::Tokens { took, output_tokens: answer.output_tokens });
            }
            Err(no_token) => no_token,
        };
        let NoToken { status, why, location, next } = no_token;
        let url = self.http.url(spoken.path);
        if let Meaning::Never(remedy) = meaning(status, &url, spoken.path, location.as_deref()) {
            let answer = Answer { status, body: why, location };
            return Err(said_no("POST", &url, &answer, &remedy));
        }
        let told = format!("POST {url} answered {status} {}", shortened(&why));
        let told = told.trim_end().to_owned();
        let refuses_body = REFUSES_BODY.contains(&status) || (200..300).contains(&status);
        Ok(match status {
            _ if refuses_body => Reply::RefusesBody(told, next),
            // Nothing is waited for, as the list of models was.
            _ if NO_SUCH_API.contains(&status) => Reply::Other(told),
            _ if meaning(status, &url, spoken.path, None) == Meaning::NotYet => {
                Reply::NotYet { why: told, is_fault: status == 500 }
            }
            _ => Reply::Other(told),
        })
    }

    /// Returns what a run would find the server ready by, in a form and with a limit's name of its own.
    fn probe(&self, spoken: &Spoken, question: Question<'_>) -> (Launch, ProbeRequest) {
        let quirks = Quirks {
            max_completion_tokens: !spoken.takes_max_tokens,
            ..self.launch.quirks.clone()
        };
        let launch = Launch { model: question.model.to_owned(), quirks, ..self.launch.clone() };
        let optional = |field: &'static str| {
            let value = match field {
                "stream_options" => json!({ "include_usage": true }),
                "ignore_eos" => Value::Bool(true),
                "top_p" => json!(1.0),
                _ => json!(0.0),
            };
            (field.to_owned(), value)
        };
        let is_sent =
            |field: &&str| spoken.takes(field) && (spoken.stream || *field != "stream_options");
        let request = ProbeRequest {
            api: spoken.api,
            path: spoken.path.to_owned(),
            stream: spoken.stream,
            fields: OPTIONAL.into_iter().filter(is_sent).map(optional).collect(),
            max_tokens: question.max_tokens,
        };
        (launch, request)
    }
}

/// Posts a body on a connection of its own, reads the answer to its end, and waits for what
/// the server does with the connection.
fn closes_after(url: &str, head: &str, body: &str) -> io::Result<bool> {
    let url = Url::parse(url).map_err(io::Error::other)?;
    if url.scheme() != "http" {
        return Ok(false);
    }
    // `localhost` has two addresses, and a server often listens on one of them.
    let mut addresses = url.socket_addrs(|| None)?.into_iter();
    let found = addresses.find_map(|address| TcpStream::connect_timeout(&address, CALL_LIMIT).ok());
    let mut stream = found.ok_or_else(|| io::Error::other("no address of the host answers"))?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
    let port = port.unwrap_or(80);
    let path = path_and_query(&url);
    let n_bytes = body.len();
    stream.write_all(
        format!(
            "POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\n{head}content-length: {n_bytes}\r\n\r\n{body}"
        )
        .as_bytes(),
    )?;
    let (mut answer, mut n_read, mut piece) = (ResponseReader::default(), 0, [0; 4096]);
    while !answer.is_complete() {
        let n = stream.read(&mut piece)?;
        if n == 0 || n_read > ANSWER_BYTES_MAX {
            return Ok(false);
        }
        answer.read(&piece[..n], |_| ()).map_err(io::Error::other)?;
        n_read += n;
    }
    stream.set_read_timeout(Some(CLOSING_TAKES))?;
    Ok(answer.keeps_alive() && matches!(stream.read(&mut piece), Ok(0)))
}

/// What is tried in turn where a refusal names no field: whether the answer is streamed, and which
/// fields are left out.
const FORMS: [(bool, &[&str]); 9] = [
    (true, &[]),
    (true, &["ignore_eos"]),
    (true, &["stream_options"]),
    (true, &["ignore_eos", "stream_options"]),
    (true, &["top_p"]),
    (true, &["temperature"]),
    (true, &OPTIONAL),
    (false, &[]),
    (false, &OPTIONAL),
];

enum Reply {
    Tokens {
        took: Nanos,
        output_tokens: Option<u32>,
    },
    /// The endpoint is there, and another body may do, or one for so much of an answer.
    RefusesBody(String, Extent),
    /// The same may do later.
    NotYet {
        why: String,
        /// Whether it says no more than that it failed: that may last, as of a model without a
        /// chat template.
        is_fault: bool,
    },
    Other(String),
}

fn shortened(body: &str) -> String {
    let words = body.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(SHOWN_CHARS).collect()
}

fn unreachable(error: &HttpError) -> NoOffer {
    let help = match error {
        HttpError::Refused(_) => {
            "nothing listens there: does the server run, and is the port right?"
        }
        HttpError::Untrusted(..) => {
            "if it is the server's own, `--set engine.server.ca=/path/of/engine.pem` trusts it; if an \
             authority signed it, name that one's there or in SSL_CERT_FILE"
        }
        HttpError::Closed(url) if url.starts_with("http://") => {
            "it closes connections without an answer: is it https:// instead? Its log may say more"
        }
        HttpError::Closed(_) => "it closes connections without an answer: its log may say why",
        HttpError::Connect(_) | HttpError::TimedOut(..) | HttpError::Broken(_) => {
            "is the server up, and can this machine reach it?"
        }
        HttpError::Unfinished { .. } => {
            "it takes requests and does not answer them to the end: look into its log, or ask \
             another of its models (--model)"
        }
        HttpError::Unresolved(..) => "check the host's name, or give its address",
        HttpError::Unreadable(..) => "look at what stands in front of the server: it made the head",
        _ => "is the URL right, `http://` and `https://` included?",
    };
    NoOffer { message: format!("cannot {error}"), help: help.to_owned() }
}

/// Says what mends an answer in words of the command line.
fn said_no(method: &str, url: &str, answer: &Answer, remedy: &Remedy) -> NoOffer {
    let help = match remedy {
        Remedy::Key => ASKS_FOR_KEY.to_owned(),
        Remedy::Redirect { target, base: Some(base) } => {
            format!("it redirects to {target}: bench quick {base}")
        }
        Remedy::Redirect { target, base: None } => {
            format!("it redirects to {target}: give the URL below which its /v1/… lies")
        }
        Remedy::Said(words) => (*words).to_owned(),
    };
    NoOffer { message: answered(method, url, answer), help }
}

fn answered(method: &str, url: &str, answer: &Answer) -> String {
    let text = format!("{method} {url} answered {} {}", answer.status, shortened(&answer.body));
    text.trim_end().to_owned()
}
