//! Numbers of answers, and scores of real gold answers.

mod final_number;
mod gsm8k;
