//! The data sets that `bench` knows by name: where the hub keeps them, what their files are called.

use crate::datasets::shards;
use crate::plan::cell::Source;
use crate::plan::data_files::is_data_file;

/// The split that examples come from, where a data set has none for them alone.
pub(crate) const TRAIN: &str = "train";

/// One known data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Name in scenarios and in the cache.
    pub name: &'static str,
    /// Kind of source.
    pub source: Source,
    /// Repository of the hub.
    pub repo: &'static str,
    /// Beginning of the file names of a split; `{split}` stands for the split.
    pub files: &'static str,
    /// The split that is meant when none is named.
    pub default_split: &'static str,
    /// Splits there are.
    pub splits: &'static [&'static str],
    /// The split of worked examples.
    pub examples: &'static str,
    /// Licence, as its authors state it.
    pub licence: &'static str,
}

/// All known data sets.
pub(crate) const KNOWN: [Known; 11] = [
    Known {
        name: "gsm8k",
        source: Source::Gsm8k,
        repo: "openai/gsm8k",
        files: "main/{split}-",
        default_split: "test",
        splits: &["test", "train"],
        examples: TRAIN,
        licence: "MIT",
    },
    Known {
        name: "s1k",
        source: Source::S1k,
        repo: "simplescaling/s1K",
        files: "data/{split}-",
        default_split: "train",
        splits: &["train"],
        examples: TRAIN,
        licence: "Apache-2.0",
    },
    Known {
        name: "s1k-1.1",
        source: Source::S1k11,
        repo: "simplescaling/s1K-1.1",
        files: "data/{split}-",
        default_split: "train",
        splits: &["train"],
        examples: TRAIN,
        licence: "MIT",
    },
    Known {
        name: "sharegpt",
        source: Source::Sharegpt,
        repo: "anon8231489123/ShareGPT_Vicuna_unfiltered",
        files: "ShareGPT_V3_unfiltered_cleaned_split.json",
        default_split: "train",
        splits: &["train"],
        examples: TRAIN,
        licence: "Apache-2.0",
    },
    Known {
        name: "ultrachat",
        source: Source::Ultrachat,
        repo: "HuggingFaceH4/ultrachat_200k",
        files: "data/{split}-",
        default_split: "test_sft",
        splits: &["train_sft", "test_sft", "train_gen", "test_gen"],
        examples: TRAIN,
        licence: "MIT",
    },
    Known {
        name: "mmlu",
        source: Source::Mmlu,
        repo: "cais/mmlu",
        files: "all/{split}-",
        default_split: "test",
        splits: &["test", "validation", "dev"],
        examples: "dev",
        licence: "MIT",
    },
    Known {
        name: "mmlu-pro",
        source: Source::MmluPro,
        repo: "TIGER-Lab/MMLU-Pro",
        files: "data/{split}-",
        default_split: "test",
        splits: &["test", "validation"],
        examples: "validation",
        licence: "MIT",
    },
    Known {
        name: "arc-challenge",
        source: Source::ArcChallenge,
        repo: "allenai/ai2_arc",
        files: "ARC-Challenge/{split}-",
        default_split: "test",
        splits: &["test", "validation", TRAIN],
        examples: TRAIN,
        licence: "CC-BY-SA-4.0",
    },
    Known {
        name: "arc-easy",
        source: Source::ArcEasy,
        repo: "allenai/ai2_arc",
        files: "ARC-Easy/{split}-",
        default_split: "test",
        splits: &["test", "validation", TRAIN],
        examples: TRAIN,
        licence: "CC-BY-SA-4.0",
    },
    Known {
        name: "math-500",
        source: Source::Math500,
        repo: "HuggingFaceH4/MATH-500",
        files: "{split}.jsonl",
        default_split: "test",
        splits: &["test"],
        examples: TRAIN,
        licence: "MIT",
    },
    Known {
        name: "aime",
        source: Source::Aime,
        repo: "Maxwell-Jia/AIME_2024",
        files: "aime_2024_problems",
        default_split: TRAIN,
        splits: &[TRAIN],
        examples: TRAIN,
        licence: "MIT",
    },
];

impl Known {
    /// Returns the known data set of a kind of source.
    pub(crate) fn of(source: Source) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.source == source)
    }

    /// Returns the known data set of a name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.name == name)
    }

    /// Returns how the file names of a split begin.
    pub(crate) fn prefix(&self, split: &str) -> String {
        self.files.replace("{split}", split)
    }
}

/// Returns the files of a split among those of a repository, in order.
///
/// `None` when there is none, or when one of several parts (`-00000-of-00003`) is missing.
pub(crate) fn choose(files: &[String], is_wanted: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let mut chosen: Vec<String> =
        files.iter().filter(|file| is_wanted(file) && is_data_file(file)).cloned().collect();
    shards::sort(&mut chosen);
    (!chosen.is_empty() && shards::incomplete(&chosen).is_none()).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_split_are_chosen_when_all_its_parts_are_there() {
        let check = |files: &[&str], prefix: &str, expected: Option<&[&str]>| {
            let files: Vec<_> = files.iter().map(|file| (*file).to_owned()).collect();
            let expected =
                expected.map(|files| files.iter().map(|file| (*file).to_owned()).collect());
            assert_eq!(choose(&files, |file| file.starts_with(prefix)), expected);
        };
        let gsm8k =
            ["README.md", "main/test-00000-of-00001.parquet", "main/train-00000-of-00001.parquet"];
        check(&gsm8k, "main/test-", Some(&["main/test-00000-of-00001.parquet"]));
        check(&gsm8k, "socratic/test-", None);
        let parts =
            ["data/train_sft-00001-of-00002-b.parquet", "data/train_sft-00000-of-00002-a.parquet"];
        check(
            &parts,
            "data/train_sft-",
            Some(&[
                "data/train_sft-00000-of-00002-a.parquet",
                "data/train_sft-00001-of-00002-b.parquet",
            ]),
        );
        check(&parts[..1], "data/train_sft-", None);
        let both = [gsm8k[1], gsm8k[2]];
        check(&both, "main/", Some(&both));
    }
}
