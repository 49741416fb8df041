//! Scores of real gold answers.

mod gsm8k;
