//! Fields of a scenario's own that would make stamps and counts mean something else.

use serde_json::Value;

/// Fields that bench sets itself: the prompt and its length come from the data.
const OURS: [&str; 4] = ["messages", "prompt", "max_tokens", "stream"];
/// Fields that ask for several answers to one request, at once or to choose from.
const SEVERAL: [&str; 6] =
    ["n", "best_of", "num_return_sequences", "num_beams", "beam_width", "use_beam_search"];
/// Fields that ask for the prompt in front of the answer.
const ECHO: [&str; 2] = ["echo", "return_full_text"];

/// Returns why a body must not have a field with that value; `None` where it may.
pub(super) fn refusal(name: &str, value: &Value) -> Option<&'static str> {
    let is_on = value.as_bool() == Some(true) || value.as_f64().is_some_and(|n| n > 0.0);
    let is_several = value.as_bool() == Some(true) || value.as_f64().is_some_and(|n| n > 1.0);
    if OURS.contains(&name) {
        Some("bench sets it itself; the data set, `max-tokens` and `stream` decide it")
    } else if SEVERAL.contains(&name) && is_several {
        Some(
            "the server would count the tokens of several answers, and the times would be of one; \
             for more answers at once raise `concurrency` or `rate`",
        )
    } else if ECHO.contains(&name) && is_on {
        Some("the first words would be the prompt's, and TTFT that of an echo; take it out")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_makes_a_stamp_or_a_count_mean_something_else_is_refused() {
        let check = |name: &str, value: Value, expected: bool| {
            assert_eq!(refusal(name, &value).is_some(), expected, "{name} = {value}");
        };
        for (name, value) in [
            ("n", json!(2)),
            ("n", json!(4.0)),
            ("best_of", json!(3)),
            ("use_beam_search", json!(true)),
            ("num_beams", json!(4)),
            ("echo", json!(true)),
            ("echo", json!(1)),
            ("prompt", json!("Hello")),
            ("stream", json!(false)),
        ] {
            check(name, value, true);
        }
        for (name, value) in [
            ("n", json!(1)),
            ("best_of", json!(null)),
            ("use_beam_search", json!(false)),
            ("echo", json!(false)),
            ("min_p", json!(0.1)),
            ("max_completion_tokens", json!(16)),
        ] {
            check(name, value, false);
        }
    }
}
