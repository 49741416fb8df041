//! The command line of `bench serve tiny`.

use std::path::PathBuf;

use clap::Args;

use super::precision::Precision;

/// Serves a small Llama model on the CPU, computed by this program itself.
///
/// Without `--model` it serves the model that is part of this program: it answers word
/// problems. Any Llama model in Hugging Face's format can be served instead, if it is small
/// enough for a CPU.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  bench serve tiny --port 8000
  bench serve tiny --port 8000 --precision int4 --max-num-seqs 8
  bench serve tiny --port 0 --model ./my-llama --served-model-name my-llama --threads 2")]
pub(crate) struct TinyArgs {
    /// Directory with config.json, model.safetensors and tokenizer.json; the bundled model without it.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Model id that is served; the directory's name, or `tiny`, without it.
    #[arg(long, value_name = "NAME")]
    pub served_model_name: Option<String>,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,
    /// Port to listen on; 0 for any free one. The port in use is printed.
    #[arg(long, default_value_t = 8000)]
    pub port: u16,
    /// Number format to compute in.
    #[arg(long, value_enum, default_value_t = Precision::Fp32)]
    pub precision: Precision,
    /// Sequences that are computed at once; further ones wait.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = positive)]
    pub max_num_seqs: usize,
    /// Tokens that one step computes; longer prompts are taken in several steps.
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = positive)]
    pub max_num_batched_tokens: usize,
    /// Longest prompt and answer together, in tokens; what the model was made for without it.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub max_model_len: Option<usize>,
    /// Threads that compute.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = positive)]
    pub threads: usize,
    /// Seed of requests that are sampled and name none.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Day that the chat template is told as today's, such as 2026-11-29.
    #[arg(skip)]
    pub day: String,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{text}` is not a whole number above 0")),
    }
}
