//! Whether an engine reads prompts in the tokens that are counted for it.

use crate::engine::tokenize::Prompt;
use crate::record::trial::EngineTokens;
use crate::workload::prompts::{Question, QuestionForm};

/// Asks an engine's tokenizer for prompts, until it tells none.
pub(super) fn engine_tokens(
    questions: &[Question],
    ask: &mut dyn FnMut(&Prompt<'_>) -> Option<Vec<u32>>,
) -> Vec<EngineTokens> {
    let told = questions.iter().map_while(|question| {
        let told = match &question.asked {
            QuestionForm::Text(text) => ask(&Prompt::Text { text, has_front: true }),
            QuestionForm::Chat(fields) => ask(&Prompt::Chat(fields)),
        };
        Some(beside(question.row, &question.ids, &told?))
    });
    told.collect()
}

/// Holds the engine's tokens against those of the data set's tokenizer, which knows of none that an
/// engine puts in front of all prompts.
fn beside(row: u64, ids: &[u32], engine: &[u32]) -> EngineTokens {
    let front = engine.strip_suffix(ids).unwrap_or_default();
    let behind = &engine[front.len()..];
    EngineTokens {
        row,
        n: ids.len() as u32,
        front: front.to_vec(),
        n_engine: behind.len() as u32,
        n_same: ids.iter().zip(behind).take_while(|(one, other)| one == other).count() as u32,
        begins_twice: !front.is_empty() && ids.starts_with(front),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_agree_behind_what_an_engine_puts_in_front_once() {
        let check = |ids: &[u32], engine: &[u32], front: &[u32], n_same, agrees| {
            let found = beside(3, ids, engine);
            assert_eq!((found.front.as_slice(), found.n_same), (front, n_same), "{engine:?}");
            assert_eq!((found.row, found.agrees()), (3, agrees), "{engine:?}");
        };
        check(&[5, 6, 7], &[5, 6, 7], &[], 3, true);
        check(&[5, 6, 7], &[1, 5, 6, 7], &[1], 3, true);
        check(&[1, 5, 6, 7], &[1, 1, 5, 6, 7], &[1], 4, false);
        check(&[5, 6, 7], &[5, 6, 8], &[], 2, false);
        check(&[5, 6, 7], &[5, 6, 7, 2], &[], 3, false);
        check(&[5, 6, 7], &[5, 6], &[], 2, false);
    }

    #[test]
    fn an_engine_that_does_not_tell_is_asked_once() {
        let question = |row| Question { row, ids: vec![1], asked: QuestionForm::Text("a".into()) };
        let questions = [question(0), question(1)];
        let mut n_asked = 0;
        let found = engine_tokens(&questions, &mut |_| {
            n_asked += 1;
            None
        });
        assert!(found.is_empty());
        assert_eq!(n_asked, 1);
        assert_eq!(engine_tokens(&questions, &mut |_| Some(vec![1])).len(), 2);
    }
}
