//! How many tokens the ids of a trace's blocks stand for, by the lengths of all rows.

use std::ops::RangeInclusive;

use crate::workload::error::DataError;

/// The sizes of blocks that the rows of a trace allow, in tokens.
#[derive(Debug)]
pub(super) struct BlockSizes {
    /// The scenario's, or that of the trace's form.
    usual: u32,
    is_asked: bool,
    /// Sizes by which each prompt has as many blocks as ids, the last one in part.
    filled: RangeInclusive<u32>,
    /// Sizes by which each prompt has as many full blocks as ids.
    full: RangeInclusive<u32>,
    /// Tokens and ids of the first row that has more ids than blocks of the usual size.
    excess: Option<(u32, u32)>,
}

impl BlockSizes {
    /// Takes the size that the scenario says, or else that of the trace's form.
    pub(super) fn new(asked: Option<u32>, of_form: u32) -> Self {
        let all = 1..=u32::MAX;
        Self {
            usual: asked.unwrap_or(of_form),
            is_asked: asked.is_some(),
            filled: all.clone(),
            full: all,
            excess: None,
        }
    }

    /// Takes the length of a prompt, and how many ids it has.
    pub(super) fn observe(&mut self, n_tokens: u32, n_ids: usize) {
        let Ok(n_ids) = u32::try_from(n_ids) else { return };
        if n_ids == 0 || n_tokens == 0 {
            return;
        }
        let one_less = n_ids - 1;
        let most = if one_less == 0 { u32::MAX } else { n_tokens.div_ceil(one_less) - 1 };
        narrow(&mut self.filled, n_tokens.div_ceil(n_ids), most);
        narrow(&mut self.full, n_tokens / n_ids.saturating_add(1) + 1, n_tokens / n_ids);
        if n_ids > n_tokens.div_ceil(self.usual) {
            self.excess.get_or_insert((n_tokens, n_ids));
        }
    }

    /// Returns the size that all rows agree on, in tokens.
    ///
    /// Where rows have fewer ids than blocks, only what the ids cover is shared.
    pub(super) fn agreed(&self, file: &str) -> Result<u32, DataError> {
        let Self { usual, is_asked, filled, full, excess } = self;
        let fits = filled.contains(usual) || full.contains(usual);
        if excess.is_none() && (*is_asked || fits) {
            return Ok(*usual);
        }
        let found = (!is_asked).then(|| likely(filled).or_else(|| likely(full))).flatten();
        match (found, excess) {
            (Some(size), _) => Ok(size),
            (None, None) => Ok(*usual),
            (None, Some((n_tokens, n_ids))) => {
                let n_blocks = n_tokens.div_ceil(*usual);
                let fitting = match (is_asked, filled.is_empty()) {
                    (false, false) => {
                        format!(", and all rows fit {} to {}", filled.start(), filled.end())
                    }
                    (false, true) => ", and no size fits all rows".to_owned(),
                    (true, _) => String::new(),
                };
                let message = format!(
                    "a prompt of {n_tokens} tokens has {n_ids} ids of blocks; of {usual} tokens each \
                     there are {n_blocks}{fitting}"
                );
                let help =
                    "say how many tokens an id stands for: `block-tokens = 64` on the data set";
                Err(DataError::new(file, message, help))
            }
        }
    }
}

fn narrow(sizes: &mut RangeInclusive<u32>, least: u32, most: u32) {
    *sizes = (*sizes.start()).max(least)..=(*sizes.end()).min(most);
}

/// Returns the one size of a range that a cache would have: a power of two, or the only one.
fn likely(sizes: &RangeInclusive<u32>) -> Option<u32> {
    let (least, most) = (*sizes.start(), *sizes.end());
    if sizes.is_empty() || most == u32::MAX {
        return None;
    }
    let power = least.checked_next_power_of_two().filter(|power| *power <= most);
    power.or((least == most).then_some(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_blocks_follows_from_lengths_and_numbers_of_ids() {
        let check = |asked: Option<u32>, rows: &[(u32, usize)], expected: Result<u32, &str>| {
            let mut sizes = BlockSizes::new(asked, 512);
            for (n_tokens, n_ids) in rows {
                sizes.observe(*n_tokens, *n_ids);
            }
            let agreed = sizes.agreed("x").map_err(|error| error.message);
            assert_eq!(agreed, expected.map_err(str::to_owned), "{rows:?}");
        };
        check(None, &[(1100, 3), (1300, 3), (300, 1)], Ok(512));
        check(None, &[(1100, 2), (400, 0), (512, 1)], Ok(512));
        check(None, &[(1100, 18), (1100, 18)], Ok(64));
        check(None, &[(1100, 17), (64, 1)], Ok(64));
        check(None, &[(2100, 3), (4096, 4)], Ok(1024));
        check(None, &[(300, 3), (100, 1), (96, 1)], Ok(128));
        // Ids of what is shared alone.
        check(None, &[(5000, 1), (5000, 3)], Ok(512));
        check(None, &[(1000, 10), (10_000, 99)], Ok(102));
        check(
            None,
            &[(1000, 10)],
            Err(
                "a prompt of 1000 tokens has 10 ids of blocks; of 512 tokens each there are 2, and all rows \
             fit 100 to 111",
            ),
        );
        check(
            None,
            &[(1000, 10), (1000, 500)],
            Err(
                "a prompt of 1000 tokens has 10 ids of blocks; of 512 tokens each there are 2, and no size \
             fits all rows",
            ),
        );
        check(Some(16), &[(1100, 3)], Ok(16));
        check(
            Some(512),
            &[(1100, 18)],
            Err("a prompt of 1100 tokens has 18 ids of blocks; of 512 tokens each there are 3"),
        );
    }
}
