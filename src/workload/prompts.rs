//! Prompts in the form in which an endpoint takes them: rendered, cut into tokens and hashed
//! once, for all cells and trials that send them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use minijinja::value::Serde;
use sha2::{Digest as _, Sha256};

use crate::ids::hex;
use crate::plan::cell::Api;
use crate::workload::body::{Asked, TOOLS, asked, template_fields};
use crate::workload::error::DataError;
use crate::workload::request::{Prompt, Sample};
use crate::workload::samples::Samples;
use crate::workload::tokenizer::Tokenizer;

/// The prompts of a data set for one endpoint.
///
/// A prompt is made when it is first asked for: rows that nobody sends cost nothing. One of which
/// the data has a length alone is made before the engine starts while there is room for it, and
/// else each time it is sent.
#[derive(Debug)]
pub struct Prompts {
    dataset: String,
    samples: Arc<Samples>,
    api: Api,
    tokenizer: Option<Arc<Tokenizer>>,
    /// By position among the samples' rows.
    made: Vec<OnceLock<Made>>,
    /// Position of each row of the data set.
    positions: HashMap<u64, usize>,
    /// Hashes of what phases send, by the positions that they send.
    hashes: Mutex<HashMap<Vec<Stretch>, String>>,
}

/// Facts of a prompt that was made.
#[derive(Debug)]
struct Made {
    /// What is sent, where making it takes a while; absent where it stands in the data, and where it
    /// is made again.
    kept: Option<Asked>,
    /// The tokens that the model reads, where they are known.
    ids: Option<Ids>,
}

/// The number of a prompt's tokens, and a hash of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Tokens by the data set's tokenizer.
    pub n: u32,
    /// First 48 bits of the SHA-256 over their ids, each in four bytes, the least first.
    pub hash: u64,
}

impl Ids {
    fn of(ids: &[u32]) -> Self {
        let mut hasher = Sha256::new();
        for id in ids {
            hasher.update(id.to_le_bytes());
        }
        Self { n: ids.len() as u32, hash: first_48_bits(hasher) }
    }
}

fn first_48_bits(hasher: Sha256) -> u64 {
    hasher.finalize()[..6].iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// A prompt as an engine's tokenizer is asked for it, with the tokens that it should tell.
#[derive(Debug)]
pub(crate) struct Question {
    /// Row of the data set.
    pub(crate) row: u64,
    /// The tokens by the data set's tokenizer.
    pub(crate) ids: Vec<u32>,
    pub(crate) asked: QuestionForm,
}

/// What is sent of a prompt.
#[derive(Debug)]
pub(crate) enum QuestionForm {
    /// A completion's text.
    Text(String),
    /// The fields of a chat.
    Chat(Vec<(&'static str, minijinja::Value)>),
}

/// Rows that a phase sends: `n` of those at `rows`, beginning at the `start`-th and going round.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stretch {
    pub(super) rows: Range<usize>,
    pub(super) start: usize,
    pub(super) n: u64,
}

impl Stretch {
    /// Returns the position of the request of that number.
    pub(super) fn position(&self, number: u64) -> usize {
        let len = self.rows.len() as u64;
        self.rows.start + ((self.start as u64 + number) % len) as usize
    }

    /// Returns the positions in the order in which they are sent.
    fn in_order(&self) -> impl Iterator<Item = usize> {
        (0..self.n).map(|number| self.position(number))
    }

    /// Returns the positions that are sent at all, as one range or two.
    pub(super) fn positions(&self) -> [Range<usize>; 2] {
        let n = usize::try_from(self.n).unwrap_or(usize::MAX).min(self.rows.len());
        if n == 0 {
            return [0..0, 0..0];
        }
        let start = self.rows.start + self.start % self.rows.len();
        let end = start + n;
        let over = end.saturating_sub(self.rows.end);
        [start..end - over, self.rows.start..self.rows.start + over]
    }
}

impl Prompts {
    /// Takes the rows of a data set; `tokenizer` counts the tokens of prompts sent as text.
    pub fn new(
        dataset: &str,
        samples: Arc<Samples>,
        api: Api,
        tokenizer: Option<Arc<Tokenizer>>,
    ) -> Self {
        Self {
            dataset: dataset.to_owned(),
            api,
            tokenizer,
            made: samples.rows().iter().map(|_| OnceLock::new()).collect(),
            positions: samples.rows().iter().map(|sample| sample.row).zip(0..).collect(),
            hashes: Mutex::default(),
            samples,
        }
    }

    /// Returns the rows.
    pub(super) fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Whether the endpoint is sent what was said before.
    pub(super) fn takes_conversations(&self) -> bool {
        self.api == Api::Chat
    }

    /// Makes the prompt at a position, unless that was done before.
    ///
    /// # Errors
    /// When the endpoint cannot take this kind of prompt, or the model's template refuses it.
    pub fn make(&self, position: usize) -> Result<(), DataError> {
        self.made(position).map(|_| ())
    }

    /// Returns the tokens of a prompt of which the data has a length alone.
    pub(crate) fn n_to_make(&self, position: usize) -> Option<u32> {
        match self.samples.rows()[position].turns.first()? {
            Prompt::OfLength(length) => Some(length.n_tokens),
            _ => None,
        }
    }

    /// Whether the prompt at a position has been made.
    pub fn is_made(&self, position: usize) -> bool {
        self.made[position].get().is_some()
    }

    fn made(&self, position: usize) -> Result<&Made, DataError> {
        if let Some(made) = self.made[position].get() {
            return Ok(made);
        }
        let (sent, ids) = self.counted(position)?;
        let is_kept = self.samples.chat.is_some() || self.n_to_make(position).is_some();
        let made = Made { ids, kept: is_kept.then_some(sent) };
        // A thread that made the same prompt meanwhile made the same of it.
        Ok(self.made[position].get_or_init(|| made))
    }

    /// Makes a prompt as it is sent, and its tokens where they are known.
    fn counted(&self, position: usize) -> Result<(Asked, Option<Ids>), DataError> {
        let sent = self.as_sent(position)?;
        let ids = self.ids(&sent)?.map(|ids| Ids::of(&ids));
        Ok((sent, ids))
    }

    /// Makes a prompt as it is sent.
    fn as_sent(&self, position: usize) -> Result<Asked, DataError> {
        let sample = &self.samples.rows()[position];
        let refused = |message: String, help: &str| {
            DataError::new(&self.dataset, message, help).at(format_args!("row {}", sample.row + 1))
        };
        if sample.turns.len() > 1 && !self.takes_conversations() {
            return Err(needs_chat(&self.dataset, sample));
        }
        let asked = self.asked(position).map_err(|message| refused(message, ""))?;
        match &self.samples.chat {
            None => Ok(asked),
            Some(chat) => chat.rendered(asked).map_err(|error| refused(error.to_string(), "")),
        }
    }

    /// Returns the tokens that the model reads of a prompt, without what an engine puts in front;
    /// of messages, where the model's template is known and takes them.
    fn ids<'p>(&self, sent: &'p Asked) -> Result<Option<Cow<'p, [u32]>>, DataError> {
        let Some(tokenizer) = &self.tokenizer else { return Ok(None) };
        let encoded = |text: &str| tokenizer.encode(text).map(Cow::Owned).map(Some);
        match (sent, &self.samples.template) {
            (Asked::Tokens(tokens), _) => Ok(Some(Cow::Borrowed(tokens))),
            (Asked::Text(text), _) => encoded(text),
            (Asked::Messages(messages, tools), Some(template)) => {
                template.text(messages, tools.as_ref()).map_or(Ok(None), |text| encoded(&text))
            }
            (Asked::Messages(..), None) => Ok(None),
        }
    }

    /// Returns a prompt as an engine's tokenizer is asked for it; `None` where its tokens are not
    /// known, or are what is sent.
    pub(crate) fn question(&self, position: usize) -> Option<Question> {
        let sent = self.sent(position).ok()?;
        let ids = self.ids(&sent).ok()??.into_owned();
        let asked = match &*sent {
            Asked::Tokens(_) => return None,
            Asked::Text(text) => QuestionForm::Text(text.clone()),
            Asked::Messages(messages, tools) => {
                let messages = minijinja::Value::from(Serde(messages));
                let told = template_fields(&self.samples.variables);
                let own = tools.iter().map(|tools| (TOOLS, tools.clone()));
                let fields = [("messages", messages)].into_iter().chain(told).chain(own);
                QuestionForm::Chat(fields.collect())
            }
        };
        Some(Question { row: self.samples.rows()[position].row, ids, asked })
    }

    /// Returns what a row asks; as messages when they are rendered here, whatever the endpoint.
    ///
    /// # Errors
    /// One sentence, when the endpoint cannot take this kind of prompt.
    fn asked(&self, position: usize) -> Result<Asked, String> {
        let sample = &self.samples.rows()[position];
        let api = match (&self.samples.chat, self.api) {
            (None, api) => api,
            (Some(_), Api::Completions) => Api::Chat,
            (Some(_), Api::Chat) => {
                return Err("the chat endpoint renders messages itself; `chat-template` is for \
                            api = \"completions\""
                    .to_owned());
            }
        };
        if sample.turns.is_empty() {
            return Err("a row asks nothing".to_owned());
        }
        let first = self.samples.prompt(sample, 0).map_err(|error| error.message)?;
        let (system, prefix) = (self.samples.system.as_deref(), self.samples.prefix_of(sample));
        asked(api, system, prefix, &first, sample.tools.as_ref()).map_err(str::to_owned)
    }

    /// Returns a prompt as it is sent.
    ///
    /// # Errors
    /// As [`Self::make`].
    pub(super) fn sent(&self, position: usize) -> Result<Cow<'_, Asked>, DataError> {
        if let Some(made) = self.made[position].get() {
            return match &made.kept {
                Some(kept) => Ok(Cow::Borrowed(kept)),
                None => self.as_sent(position).map(Cow::Owned),
            };
        }
        if self.n_to_make(position).is_none() {
            self.made(position)?;
            return self.sent(position);
        }
        let (sent, ids) = self.counted(position)?;
        self.made[position].get_or_init(|| Made { ids, kept: None });
        Ok(Cow::Owned(sent))
    }

    /// Returns a prompt as it is sent, but for the template that is put over it.
    ///
    /// # Errors
    /// As [`Self::make`].
    pub(super) fn unrendered(&self, position: usize) -> Result<Asked, DataError> {
        let sent = self.sent(position)?;
        match &self.samples.chat {
            None => Ok(sent.into_owned()),
            Some(_) => {
                self.asked(position).map_err(|message| DataError::new(&self.dataset, message, ""))
            }
        }
    }

    /// Returns another prompt as the model reads it.
    pub(super) fn rendered(&self, asked: Asked) -> Result<Asked, String> {
        match &self.samples.chat {
            Some(chat) => chat.rendered(asked).map_err(|error| error.to_string()),
            None => Ok(asked),
        }
    }

    /// Returns what is known of the prompt tokens of a row of the data set.
    ///
    /// `None` without a tokenizer, where a chat endpoint renders messages by a template that is
    /// not known, and of rows whose prompt has not been made.
    pub fn ids_of(&self, row: u64) -> Option<Ids> {
        self.made[*self.positions.get(&row)?].get()?.ids
    }

    /// Returns the hash of the turn behind one of a row of the data set: over the hash of that
    /// turn, the answer to it, and what is asked next. `None` behind the last turn.
    pub fn hash_of_next(&self, row: u64, turn: u32, hash: u64, answer: &str) -> Option<u64> {
        let sample = &self.samples.rows()[*self.positions.get(&row)?];
        let next = sample.turns.get(turn as usize + 1)?;
        let asked = serde_json::to_vec(next).expect("texts and numbers are JSON");
        let mut hasher = Sha256::new();
        for part in [hash.to_string().as_bytes(), answer.as_bytes(), &asked] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Some(first_48_bits(hasher))
    }

    /// Returns the first twelve digits of the SHA-256 over prompts in the order sent; over recipes
    /// of those that are made of a length.
    pub(super) fn hash(&self, sent: &[Stretch]) -> Result<String, DataError> {
        if let Some(known) = self.hashes().get(sent) {
            return Ok(known.clone());
        }
        let mut hasher = Sha256::new();
        let maker = self.samples.maker.as_ref().map(|maker| maker.recipe()).unwrap_or_default();
        // What a template is told shapes prompts that the engine renders, too.
        if self.samples.chat.is_none() && !self.samples.variables.is_empty() {
            let told = template_fields(&self.samples.variables);
            hasher.update(serde_json::to_vec(&told).expect("texts and numbers are JSON"));
        }
        for position in sent.iter().flat_map(Stretch::in_order) {
            match self.recipe(&maker, position) {
                Some(recipe) => hasher.update(recipe + "\n"),
                None => self.sent(position)?.hash_into(&mut hasher),
            }
        }
        let mut digits = hex(&hasher.finalize());
        digits.truncate(12);
        self.hashes().insert(sent.to_vec(), digits.clone());
        Ok(digits)
    }

    /// Returns what names a prompt of which the data has a length alone: the same for the same
    /// prompt, whether it has been made or not. `maker` is what all such prompts depend on.
    fn recipe(&self, maker: &str, position: usize) -> Option<String> {
        let sample = &self.samples.rows()[position];
        let Prompt::OfLength(length) = sample.turns.first()? else { return None };
        let (samples, row) = (&self.samples, length.is_unique().then_some(sample.row));
        let around = (samples.chat.is_some(), &samples.system, samples.prefix_of(sample));
        Some(
            serde_json::to_string(&(maker, length, row, around))
                .expect("texts and numbers are JSON"),
        )
    }

    fn hashes(&self) -> MutexGuard<'_, HashMap<Vec<Stretch>, String>> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A row of several turns for an endpoint that is not sent the turns before.
pub(super) fn needs_chat(dataset: &str, sample: &Sample) -> DataError {
    let message = "a conversation of several turns needs the chat endpoint";
    let help = "set api = \"chat\", or multi-turn = false";
    DataError::new(dataset, message, help).at(format_args!("row {}", sample.row + 1))
}
