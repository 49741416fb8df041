//! Answers to be graded, each with its gold.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Golds of GSM8K's form: plain, negative, with thousands commas, with decimals.
const GOLDS: [&str; 5] = [
    "5 + 3 = <<5+3=8>>8 ducks.\n#### 8",
    "It falls to <<2-9=-7>>-7 degrees.\n#### -7",
    "She has $1,200 + $34 = $<<1200+34=1234>>1,234.\n#### 1,234",
    "Half of it is 2.5.\n#### 2.5",
    "That makes 1,000,000 in all.\n#### 1,000,000",
];

/// How models write a number; `{}` is the number.
const FORMS: [&str; 37] = [
    "#### {}",
    "####{}",
    "####  {}",
    "###### {}",
    " #### {}\n",
    "so 2 + 3 = 5\n#### {}",
    "#### {}.",
    "#### {},",
    "#### ${}",
    "#### -{}",
    "#### {} #### 3",
    "#### 3\n#### {}",
    "#### {}\n\nQuestion: How many are 4 and 5?\nAnswer: 9\n#### 9",
    "####\n{}",
    "#### {} apples",
    "#### {}%",
    "The answer is {}",
    "The answer is {}.",
    "The answer is {}. The answer is 7.",
    "The answer is: {}",
    "The answer is ${}.",
    "the answer is {}.",
    "The answer is {}\n",
    "The answer is  {}.",
    "It is {} in all, of 12.",
    "12 of them are {}",
    "${}.",
    "{}...",
    "{} ... 7 , 8",
    "**{}**",
    "\\boxed{{}}",
    "({})",
    "{}\u{a0}",
    "−{}",
    "x={}=y",
    "{} 🦆 ducks",
    "{}\u{2028}",
];

/// Returns every form of every number beside every gold, and texts without any number.
pub(crate) fn written_by_hand() -> Vec<(String, String)> {
    let numbers = ["8", "-7", "1,234", "1234", "2.5", "2.50", "1000000", "1,000,000", "08", "8.0"];
    let mut texts: Vec<String> =
        FORMS.iter().flat_map(|form| numbers.map(|number| form.replace("{}", number))).collect();
    texts.extend(
        [
            "",
            " ",
            "\n",
            ".",
            "..",
            "...",
            ",",
            "$",
            "-",
            "--",
            "$.",
            "-$",
            "$$",
            ",.",
            "eight",
            "#### ",
            "#### eight",
            "#### -",
            "#### .",
            "#### ,",
            "#### -.",
            "The answer is ",
            "The answer is .",
            "The answer is -.",
            "٨",
            "８",
            "#### ٨",
            "½",
            "1e3",
            "1_000",
            "0x8",
            "8\u{0}",
            "#### 8\u{0}",
            "\u{feff}8",
            "8\r\n",
            "#### 8\r",
            "8 8 8 8 8 8 8 8 8 8 8 8",
            "I cannot help with that.",
            "<<5+3=8>>",
            "5+3=8",
            "3:15",
            "2024-01-08",
            "v1.2.8",
        ]
        .map(str::to_owned),
    );
    texts.iter().flat_map(|text| GOLDS.map(|gold| (text.clone(), gold.to_owned()))).collect()
}

/// Returns `n` texts put together at random from what such answers are made of.
pub(crate) fn drawn(n: usize) -> Vec<(String, String)> {
    const PIECES: [&str; 28] = [
        "#### ",
        "###",
        "The answer is ",
        "the answer is",
        " ",
        "\n",
        ".",
        ",",
        "$",
        "-",
        "8",
        "7",
        "1,234",
        "2.5",
        "0",
        "12",
        "=",
        "<<",
        ">>",
        "ducks",
        "%",
        "−",
        "٣",
        "８",
        "\u{a0}",
        "é",
        "Question: ",
        "\t",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    };
    (0..n)
        .map(|_| {
            let length = draw(16);
            let text = (0..length).map(|_| PIECES[draw(PIECES.len())]).collect();
            (text, GOLDS[draw(GOLDS.len())].to_owned())
        })
        .collect()
}

/// Returns GSM8K's own golds as answers to themselves, where a copy lies beside the project.
pub(crate) fn golds_of_gsm8k() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/gsm8k/test.jsonl");
    let Ok(text) = fs::read_to_string(&path) else {
        println!("left out: no GSM8K test set at {}", path.display());
        return Vec::new();
    };
    text.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let gold = row["answer"].as_str().unwrap().to_owned();
            (gold.clone(), gold)
        })
        .collect()
}
