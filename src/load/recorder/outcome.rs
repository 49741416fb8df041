//! Decides how a request ended. Each request gets one outcome, and a failure never counts as
//! success.

use crate::load::recorder::answer::{Answer, Telling, excerpt};
use crate::load::transport::client::{Deadline, Ending, Head};
use crate::record::request::{Oddity, Outcome, RequestError};

/// The facts about the request on which its outcome depends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) stream: bool,
    /// Whether the engine's streams end without `[DONE]`.
    pub(crate) no_done: bool,
}

/// Returns how a request ended. Adds an oddity where a deviation is tolerated.
pub(crate) fn judge(
    ending: &Ending,
    head: Option<&Head>,
    answer: &mut Answer,
    asked: Asked,
) -> Outcome {
    // `[DONE]` ends an answer. What happens to the connection afterwards does not count against
    // it.
    let is_whole = answer.done_at.is_some() && answer.error.is_none();
    if !is_whole || !is_forgiven(ending) {
        if let Some(outcome) = ended_by_us(ending) {
            return outcome;
        }
        if let Some(error) = no_response(ending) {
            return Outcome::Error(error);
        }
    } else if *ending == Ending::LeftOpen {
        answer.note_oddity(Oddity::LeftOpen);
    }
    let Some(head) = head else {
        return Outcome::Error(RequestError::Truncated("no response head".to_owned()));
    };
    match judge_answer(ending, head, answer, asked) {
        Ok(()) => Outcome::Ok,
        Err(error) => Outcome::Error(error),
    }
}

/// Whether an ending does no harm to an answer that was complete before it.
fn is_forgiven(ending: &Ending) -> bool {
    matches!(
        ending,
        Ending::LeftOpen
            | Ending::ClosedEarly(_)
            | Ending::Cancelled(_)
            | Ending::TimedOut(Deadline::Total | Deadline::BetweenTokens)
    )
}

fn ended_by_us(ending: &Ending) -> Option<Outcome> {
    let error = match ending {
        Ending::Cancelled(cause) => return Some(Outcome::Cancelled(*cause)),
        Ending::TimedOut(Deadline::Connect) => RequestError::ConnectTimeout,
        Ending::TimedOut(Deadline::FirstToken) => RequestError::FirstTokenTimeout,
        Ending::TimedOut(Deadline::BetweenTokens) => RequestError::BetweenTokensTimeout,
        Ending::TimedOut(Deadline::Total) => RequestError::TotalTimeout,
        Ending::TooLarge(what) => RequestError::TooLarge(what.clone()),
        Ending::Complete
        | Ending::ClosedEarly(_)
        | Ending::NoResponse { .. }
        | Ending::Connect(_)
        | Ending::ClientResources(_)
        | Ending::Protocol(_)
        | Ending::LeftOpen => return None,
    };
    Some(Outcome::Error(error))
}

fn no_response(ending: &Ending) -> Option<RequestError> {
    match ending {
        Ending::Connect(why) => Some(RequestError::Connect(excerpt(why))),
        Ending::ClientResources(why) => Some(RequestError::ClientResources(excerpt(why))),
        Ending::NoResponse { reused: true, .. } => Some(RequestError::ConnReuseRace),
        Ending::NoResponse { reused: false, why } => {
            Some(RequestError::Truncated(format!("no response: {}", excerpt(why))))
        }
        Ending::Protocol(why) => Some(RequestError::Protocol(excerpt(why))),
        _ => None,
    }
}

fn judge_answer(
    ending: &Ending,
    head: &Head,
    answer: &mut Answer,
    asked: Asked,
) -> Result<(), RequestError> {
    if head.is_redirect() && !head.location.is_empty() {
        // No redirect is followed: the key must not reach another host.
        let to = format!("to {}", answer.excerpt(&head.location));
        return Err(RequestError::Status(head.status, to));
    }
    if !(200..300).contains(&head.status) {
        let error = answer.error.as_ref().or(answer.guessed.as_ref());
        return Err(RequestError::Status(head.status, error.cloned().unwrap_or_default()));
    }
    if let Some(error) = &answer.error {
        return Err(RequestError::InStream(error.clone()));
    }
    if let Some(guessed) = answer.guessed.take() {
        if answer.finish.is_none() || answer.done_at.is_none() {
            return Err(RequestError::InStream(guessed));
        }
        answer.note_oddity(Oddity::StrayText);
    }
    if let Some(what) = &answer.too_large {
        return Err(RequestError::TooLarge(what.clone()));
    }
    if let Some(what) = &answer.violation {
        return Err(RequestError::Protocol(what.clone()));
    }
    if let Ending::ClosedEarly(why) = ending
        && answer.done_at.is_none()
    {
        let n_events = answer.n_token_events;
        let what = format!("{} after {n_events} token events", excerpt(why));
        return Err(RequestError::Truncated(with_stray(what, answer)));
    }
    let is_done = answer.done_at.is_some();
    let is_counted = answer.usage.is_some_and(|usage| usage.completion > Some(0));
    if answer.n_token_events == 0 {
        let has_ended = answer.finish.is_some() || is_counted;
        if !has_ended {
            return Err(without_an_end(head, answer));
        }
        // Tokens may stand in what could not be read, unless they are counted as reasoning: all but
        // the end of the sequence.
        let counts = answer.usage.and_then(|usage| usage.completion.zip(usage.reasoning));
        let are_hidden = counts.is_some_and(|(all, hidden)| hidden > 0 && hidden + 1 >= all);
        let stray = answer.stray().filter(|stray| stray.telling >= Telling::Text);
        let unread = || if are_hidden { None } else { answer.unread_text() };
        let words = stray.map(|stray| stray.words.clone()).or_else(unread);
        return Err(words.map_or(RequestError::Empty, |words| {
            RequestError::Protocol(format!("no token, but {words:?}"))
        }));
    }
    if answer.finish.is_none() {
        // `[DONE]` alone does not prove success: some engines send it after an error too. An answer
        // that came whole as one object has ended with it.
        let is_told = is_counted || answer.unknown_finish.is_some() || answer.is_one_object;
        if !(is_done && is_told) {
            let what = match &answer.unknown_finish {
                Some(word) => format!("finish reason {word:?} is not known"),
                None => "no finish reason".to_owned(),
            };
            return Err(RequestError::Truncated(with_stray(what, answer)));
        }
        if answer.unknown_finish.is_none() {
            answer.note_oddity(Oddity::NoFinish);
        }
    }
    if asked.stream && !asked.no_done && !is_done {
        answer.note_oddity(Oddity::NoDone);
    }
    Ok(())
}

/// Returns the failure of an answer that the engine never declared ended.
fn without_an_end(head: &Head, answer: &Answer) -> RequestError {
    let what = match (answer.stray(), answer.done_at, answer.events.is_empty()) {
        (Some(stray), ..) => {
            let words = &stray.words;
            return RequestError::Protocol(format!("neither token nor finish reason in {words:?}"));
        }
        (None, Some(_), _) => "[DONE] without a token, a finish reason or a count",
        (None, None, false) => "neither token, finish reason nor [DONE]",
        (None, None, true) => "no event came",
    };
    RequestError::Truncated(match answer.unread() {
        Some(words) => format!("{what}, but {words:?}"),
        // A success of another kind, such as 204, explains itself.
        None if head.status != 200 => format!("{what} with status {}", head.status),
        None => what.to_owned(),
    })
}

fn with_stray(what: String, answer: &Answer) -> String {
    match answer.stray().filter(|stray| stray.telling > Telling::Alive) {
        Some(stray) => format!("{what}, but {:?}", stray.words),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::recorder::decode::Decoding;
    use crate::load::spec::Limits;
    use crate::load::transport::client::Stamp;
    use crate::load::transport::exchange::{Block, Signals};
    use crate::record::request::{CancelCause, StampSource};
    use crate::units::Nanos;

    const TOKEN: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    const FINISH: &str =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";
    const ERROR: &str = "data: {\"error\":{\"message\":\"out of memory\"}}\n\n";

    fn outcome(status: u16, content_type: &str, body: &str, ending: &Ending) -> String {
        let content_type = content_type.to_owned();
        let (content_encoding, location) = (String::new(), String::new());
        let head = Head { status, content_type, content_encoding, location };
        outcome_of(head, body, ending)
    }

    fn outcome_of(head: Head, body: &str, ending: &Ending) -> String {
        let asked = Asked { stream: true, no_done: false };
        let mut decoding =
            Decoding::new(true, true, false, Limits { event_bytes: 500, ..Limits::default() });
        decoding.head = Some(head);
        let mut block = Block::default();
        let (at, source) = (Nanos(5), StampSource::Kernel);
        block.push(body.as_bytes(), Stamp { at, since: at, source });
        decoding.feed(&block, None, &Signals::default());
        decoding.finish(Nanos(9), *ending == Ending::Complete);
        let head = decoding.head.clone();
        let outcome = judge(ending, head.as_ref(), &mut decoding.answer, asked);
        let oddities = &decoding.answer.oddities;
        match outcome {
            Outcome::Error(error) => format!("{error:?}"),
            outcome if oddities.is_empty() => format!("{outcome:?}"),
            outcome => format!("{outcome:?} {oddities:?}"),
        }
    }

    fn check(parts: &[&str], ending: &Ending, expected: &str) {
        let body = parts.concat();
        assert_eq!(outcome(200, "text/event-stream", &body, ending), expected, "{body}");
    }

    #[test]
    fn a_200_is_not_yet_a_success() {
        use Ending::Complete;
        check(&[ROLE, TOKEN, FINISH, DONE], &Complete, "Ok");
        check(&[TOKEN, ERROR, DONE], &Complete, "InStream(\"out of memory\")");
        check(&["event: error\ndata: broken\n\n"], &Complete, "InStream(\"broken\")");
        check(&[ROLE, FINISH, DONE], &Complete, "Empty");
        check(&[USAGE, DONE], &Complete, "Empty");
        let nothing = "Truncated(\"[DONE] without a token, a finish reason or a count\")";
        check(&[DONE], &Complete, nothing);
        check(&[], &Complete, "Truncated(\"no event came\")");
        check(&[": ping\n\n"], &Complete, "Truncated(\"no event came\")");
        let role = ROLE.strip_prefix("data: ").unwrap().trim_end();
        let what = format!("neither token, finish reason nor [DONE], but {role:?}");
        check(&[ROLE], &Complete, &format!("Truncated({what:?})"));
        check(&[TOKEN, DONE], &Complete, "Truncated(\"no finish reason\")");
        check(&[TOKEN], &Complete, "Truncated(\"no finish reason\")");
        check(
            &["data: {\n\n", TOKEN, FINISH, DONE],
            &Complete,
            "Protocol(\"invalid JSON: EOF while parsing an object at line 1 column 1 in \\\"{\\\"\")",
        );
    }

    #[test]
    fn an_answer_in_an_unknown_form_is_told_with_what_came() {
        let odd = "data: {\"choices\":[{\"index\":0,\"generated\":\"4\"}]}\n\n";
        let words = odd.strip_prefix("data: ").unwrap().trim_end();
        let ended = format!("Protocol({:?})", format!("no token, but {words:?}"));
        check(&[odd, FINISH, DONE], &Ending::Complete, &ended);
        check(&[ROLE, odd, USAGE, DONE], &Ending::Complete, &ended);
        let what = format!("[DONE] without a token, a finish reason or a count, but {words:?}");
        check(&[ROLE, odd, DONE], &Ending::Complete, &format!("Truncated({what:?})"));
        check(&[odd, TOKEN, FINISH, DONE], &Ending::Complete, "Ok");
        check(&[ROLE, FINISH, DONE], &Ending::Complete, "Empty");
        // Padding is no answer, and one whose tokens are all counted as reasoning is empty.
        let padded = FINISH.replace("}]}", "}],\"obfuscation\":\"XyZ123\"}");
        check(&[ROLE, &padded, USAGE, DONE], &Ending::Complete, "Empty");
        let hidden = USAGE.replace(
            "\"completion_tokens\":1",
            "\"completion_tokens\":33,\"completion_tokens_details\":{\"reasoning_tokens\":32}",
        );
        check(&[odd, FINISH, &hidden, DONE], &Ending::Complete, "Empty");
    }

    #[test]
    fn what_is_missing_at_the_end_is_forgiven_only_after_a_finish_reason() {
        use Ending::Complete;
        let closed = || Ending::ClosedEarly("connection closed".to_owned());
        check(&[TOKEN, FINISH], &Complete, "Ok [NoDone]");
        check(&[TOKEN, FINISH, "data: [DONE]"], &Complete, "Ok");
        check(&[TOKEN, FINISH, DONE], &closed(), "Ok");
        check(&[TOKEN, FINISH], &closed(), "Truncated(\"connection closed after 1 token events\")");
        check(
            &[TOKEN, "data: {\"cho"],
            &closed(),
            "Truncated(\"connection closed after 1 token events\")",
        );
        check(&[TOKEN, FINISH, DONE, TOKEN, DONE], &Complete, "Ok [DataAfterDone]");
        check(&[TOKEN, FINISH, FINISH, DONE], &Complete, "Ok [TwoFinishReasons]");
        check(&[TOKEN, FINISH, DONE], &Ending::LeftOpen, "Ok [LeftOpen]");
    }

    #[test]
    fn what_bench_ends_says_why() {
        let cancelled = Ending::Cancelled(CancelCause::Signal);
        check(&[TOKEN], &cancelled, "Cancelled(Signal)");
        check(&[TOKEN, FINISH, DONE], &cancelled, "Ok");
        check(&[TOKEN], &Ending::TimedOut(Deadline::BetweenTokens), "BetweenTokensTimeout");
        check(&[TOKEN], &Ending::TooLarge("x".to_owned()), "TooLarge(\"x\")");
        let huge = "x".repeat(600);
        check(&[&huge], &Ending::Complete, "TooLarge(\"a server-sent event exceeds 500 bytes\")");
    }

    #[test]
    fn what_is_no_stream_is_recognised() {
        let check = |status, content_type: &str, body: &str, expected: &str| {
            assert_eq!(outcome(status, content_type, body, &Ending::Complete), expected, "{body}");
        };
        let answer = r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#;
        check(204, "", "", "Truncated(\"no event came with status 204\")");
        let native = r#"{"model":"m","message":{"role":"assistant","content":"2"},"done":false}"#;
        let sorted = r#"{"done":false,"message":{"content":"2","role":"assistant"},"model":"m"}"#;
        let told = format!("neither token nor finish reason in {sorted:?}");
        check(200, "application/x-ndjson", native, &format!("Protocol({told:?})"));
        check(500, "text/plain", "Internal\nerror", "Status(500, \"Internal error\")");
        check(404, "application/json", r#"{"detail":"Not Found"}"#, "Status(404, \"Not Found\")");
        check(302, "", "", "Status(302, \"\")");
        let location = "https://elsewhere/v1/completions".to_owned();
        let (content_type, content_encoding) = (String::new(), String::new());
        let head = Head { status: 307, content_type, content_encoding, location };
        let told = outcome_of(head, "<html>", &Ending::Complete);
        assert_eq!(told, "Status(307, \"to https://elsewhere/v1/completions\")");
        check(200, "application/json", r#"{"error":"full"}"#, "InStream(\"full\")");
        check(
            200,
            "application/json",
            answer,
            "Protocol(\"asked for a stream, got one answer of type \\\"application/json\\\"\")",
        );
        check(
            200,
            "text/html",
            "<html>",
            "Protocol(\"neither token nor finish reason in \\\"<html>\\\"\")",
        );
        check(200, "", &[TOKEN, FINISH, DONE].concat(), "Ok [ContentType]");
    }
}
