//! The model that is part of this program.

use std::borrow::Cow;

use super::files::ModelFiles;
use crate::chat_template::ModelFiles as TemplateFiles;

/// Includes a file of the model's directory.
macro_rules! file {
    ($name:literal) => {
        Cow::<'static, [u8]>::Borrowed(include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/models/word-problems-1m/",
            $name
        )))
    };
}

/// Returns the files of the model `word-problems-1m`.
pub(crate) fn model_files() -> ModelFiles {
    ModelFiles {
        config: file!("config.json"),
        generation_config: Some(file!("generation_config.json")),
        weights: file!("model.safetensors"),
        tokenizer: file!("tokenizer.json"),
        template: TemplateFiles {
            config: Some(file!("tokenizer_config.json").into_owned()),
            jinja: Some(file!("chat_template.jinja").into_owned()),
            ..TemplateFiles::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::chat_template::Variables;
    use crate::seed::Seed;
    use crate::serve::tiny::batcher::{Batcher, Event, Finish, Limits, Submission};
    use crate::serve::tiny::precision::Precision;
    use crate::serve::tiny::sampler::Sampling;

    const PROBLEMS: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/datasets/word_problems.jsonl"));

    #[derive(Deserialize)]
    struct Problem {
        question: String,
        answer: String,
    }

    /// Answers questions greedily, at most `max_num_seqs` at once, and returns texts and token
    /// counts.
    fn answer(
        questions: &[&str],
        precision: Precision,
        max_num_seqs: usize,
    ) -> Vec<(String, usize)> {
        let loaded = Arc::new(model_files().load(precision, Some(256), "").unwrap());
        let limits = Limits { max_num_seqs, max_num_batched_tokens: 256, n_threads: 1 };
        let mut batcher = Batcher::new(Arc::clone(&loaded), limits, Arc::default());
        let received: Vec<_> = questions
            .iter()
            .map(|question| {
                let message = json!({ "role": "user", "content": question });
                let template = loaded.chat_template.as_ref().unwrap();
                let prompt = template.render(&[message], &Variables::new(), true).unwrap();
                let (events, received) = tokio::sync::mpsc::channel(128);
                batcher.submit(Submission {
                    prompt: loaded.tokenizer.encode_fast(prompt, false).unwrap().get_ids().to_vec(),
                    max_tokens: 96,
                    min_tokens: 0,
                    sampling: Sampling { temperature: 0.0, top_p: 1.0 },
                    rng: Seed(0).stream("test"),
                    stops: Vec::new(),
                    ignore_eos: false,
                    events,
                });
                received
            })
            .collect();
        while !batcher.is_idle() {
            batcher.step();
        }
        received
            .into_iter()
            .map(|mut events| {
                let (mut all, mut n_tokens, mut last) = (String::new(), 0, None);
                while let Ok(Event::Token { text, finish, .. }) = events.try_recv() {
                    all.push_str(&text);
                    n_tokens += 1;
                    last = finish;
                }
                assert_eq!(last, Some(Finish::Stop), "{all}");
                (all, n_tokens)
            })
            .collect()
    }

    #[test]
    fn the_bundled_model_says_what_its_card_says() {
        let question = "Carla sells 23 beads for 2 dollars each and spends 27 dollars on food. \
                        How many dollars are left?";
        let answers = answer(&[question], Precision::Fp32, 1);
        assert_eq!(answers[0].0, " 23 * 2 = 46. 46 - 27 = 19. The answer is 19.\n#### 19");
    }

    #[test]
    fn it_solves_unseen_problems_alone_and_in_company_alike() {
        let problems: Vec<Problem> =
            PROBLEMS.lines().take(32).map(|line| serde_json::from_str(line).unwrap()).collect();
        let questions: Vec<&str> =
            problems.iter().map(|problem| problem.question.as_str()).collect();
        let together = answer(&questions, Precision::Fp32, 32);
        assert_eq!(together[..6], answer(&questions[..6], Precision::Fp32, 1));
        let number = |text: &str| text.rsplit("####").next().map(|end| end.trim().to_owned());
        let n_right = problems
            .iter()
            .zip(&together)
            .filter(|(problem, (text, _))| number(text) == number(&problem.answer))
            .count();
        // 94.8 % of the 600 are right in FP32 by the model's card; these are the first 32.
        assert!(n_right >= 26, "{n_right} of 32");
    }
}
