//! Numbers that texts give as their answers: marked ones, results, the last.

use proptest::prelude::*;

use crate::score::final_number::{answer, gold};
use crate::score::number::{plain, scan};
use crate::score::unread::Unread;

fn check(text: &str, expected: Result<&str, Unread>) {
    let found = answer(text).map(|number| number.to_string());
    assert_eq!(found, expected.map(str::to_owned), "{text}");
}

#[test]
fn a_marked_answer_comes_before_the_last_number() {
    check("3+4=7\n#### 7\n\nthat is 14/2", Ok("7"));
    check("#### 7\n#### 8", Ok("7"));
    check("#### 1. Add\n3+4\n#### 2. Answer\nso 7\n#### 7", Ok("7"));
    check("#### Step 3\nThe answer is 7, as 3 < 9.", Ok("7"));
    check("####\n**$1,250**", Ok("1250"));
    check("#### 16 - 3 = 13", Ok("13"));
    check("#### 5! = 120", Ok("120"));
    check("The answer is 3/4 of 100 = 75", Ok("75"));
    check("#### 20% of 50 = 10", Ok("10"));
    check("The answer is 5 apples + 3 apples = 8 apples. 1 is bad", Ok("8"));
    check("The answer is 5 feet × 3 feet = 15 square feet", Ok("15"));
    check("The answer is **7** (12 - 5).", Ok("7"));
    check("The answer is 2 and a half", Ok("2.5"));
    check("It takes 3 and three quarters of an hour.", Ok("3.75"));
    check("He has 2 and a halfway house", Ok("2"));
    check("The answer is ±5", Err(Unread::Formula));
    check("so it is 10 ± 0.5", Err(Unread::Formula));
    check("The answer is 7 2", Err(Unread::Several));
    check("The answer is 7 of 10", Ok("7"));
    check("The answer is 12 inches = 1 foot", Ok("12"));
    check("The answer is 8 apples - 3 of them red", Ok("8"));
    check("The answer is 7, since 10 - 3 = 7", Ok("7"));
    check(r"first \boxed{5}, better \boxed{\text{about } 7 \text{ m}^2}. 9 of 9", Ok("7"));
    check(r"\boxed{x = \frac{1}{2}}", Ok("0.5"));
    check(r"\boxed 7", Ok("7"));
    check("**The final answer is: $7**, not 9 or 8", Ok("7"));
    check(r"The answer is \boxed{9{,}500} for 3", Ok("9500"));
    check("The answer is not 5 but 6", Ok("6"));
    check("#### 7\n\nQuestion: 9+9?\nThe answer is 18", Ok("7"));
    check("<answer>72</answer> 3", Ok("72"));
    check("<answer>5</answer>, no: <answer>the total is $72</answer> of 3", Ok("72"));
    check("<|begin_of_box|>9,500<|end_of_box|> in 3 days", Ok("9500"));
    check("A: 5\n\nQ: 9+9?\nA: 18", Ok("5"));
    check("**Answer:** 72 apples\nThat took 3 steps.", Ok("72"));
    check("Answer: 5 apples at $2 each are $10", Ok("10"));
    check("Answer: 5 (red) apples × 2 = 10", Ok("10"));
    check("Answer: 5 in 2 boxes are 10", Ok("10"));
    for explained in [
        "Answer: 7 (since 3 × 4 = 12)",
        "**Answer: $7** (because 3 + 4 = 12)",
        "Final answer: 7 (rounded to 2 decimals)",
        "Answer: 7 apples (out of 12)",
        "Answer: 7 [step 3]",
        "Answer: 7, because 3 + 9 = 12",
        "Answer: 7 clips since 12 are in 3 boxes",
        "Answer: 7 out of 12",
        "Answer: 7 in 12 days",
        "**Answer:** 7 apples within 12 hours.",
        "Answer:\n7 per 12 boxes",
        "Answer:\n7 (since 3 × 4 = 12)",
        "<answer>7 out of 12</answer>",
        "<answer>7 (12 - 5)</answer>",
    ] {
        check(explained, Ok("7"));
    }
    check("#### 7\n\n**Q2:** 9+9?\n\\boxed{18}", Ok("7"));
    check("A: 5 / Q: 9+9? / A: 18", Ok("5"));
}

#[test]
fn a_text_ends_where_a_model_goes_on_to_the_next_question() {
    check("18\n\nQuestion: 2+2?\nAnswer: 4", Ok("18"));
    check("9 * 2 = $18\nQ: 2+2?\nA: 4", Ok("18"));
    check("9 * 2 = 18. Question: 2+2? The answer is 4", Ok("18"));
    check("It is 18.\n\n### Instruction:\n2+2\n### Response:\n#### 4", Ok("18"));
    check("18<|im_end|>\n<|im_start|>user\n2+2?", Ok("18"));
    check("18</s> 4", Ok("18"));
    // No number stands before, or the whole text is of questions that it asks itself.
    check("We solve it.\n\nProblem: 9 * 2\nThe answer is 18.", Ok("18"));
    check("Question: how many? 9\nQuestion: at $2? 18\nSo the answer is 18", Ok("18"));
    check("<|im_start|>assistant\n18", Ok("18"));
    check("FAQ: 18", Ok("18"));
}

#[test]
fn a_question_that_is_told_again_does_not_end_a_text() {
    check("Step 1: Restate the Question: how many?\n48+24=72\n#### 72", Ok("72"));
    // It may as well be the next one, so that nobody can say.
    let told = "I'll use 2 steps.\n\n**Problem:** 48+24\n\n";
    check(&format!("{told}#### 72"), Err(Unread::Ambiguous));
    check(&format!("{told}The answer is \\boxed{{72}}"), Err(Unread::Ambiguous));
    check(&format!("{told}#### 2"), Ok("2"));
    check("She has 18 apples.\n\nQuestion: Tom has 3 cats", Ok("18"));
    check("That makes $18 a day.\n\nQuestion: 2+2?\n#### 4", Ok("18"));
    check("5 of them, so 0.\n\nQuestion: 2+2?\n#### 4", Ok("0"));
    check("1. Read it.\n\nProblem: 48+24\n#### 72", Err(Unread::Ambiguous));
}

#[test]
fn without_a_mark_the_last_number_is_the_answer() {
    check("So 72... right?", Ok("72"));
    check("That makes $72. Cost: $.", Ok("72"));
    check("16 - 3 = 13", Ok("13"));
    check("16-3", Ok("3"));
    check("It falls to -5.", Ok("-5"));
    check("It is − 5 degrees", Ok("-5"));
    check("Net: ($1,250)", Ok("-1250"));
    check("We pay the cost ($1,250)", Ok("1250"));
    check("10 - (5)", Ok("5"));
    check("She has 15 apples (10 + 5).", Ok("15"));
    check("That is 30 (3 boxes of 10) in all.", Ok("30"));
    check("That is 30 (3 boxes of 10 = 30 apples).", Ok("30"));
    check("He pays $90 ($45 × 2).", Ok("90"));
    check("It takes 3 hours (180 minutes).", Ok("180"));
    check("That is 15 [10 + 5] in all.", Ok("15"));
    check("He saves 25% (10/40).", Ok("25%"));
    check("Together 15 = 10 + 5.", Ok("15"));
    check("The sum is **15** (= 10 + 5)", Ok("15"));
    check("**10**\n* 5", Ok("5"));
    check("It takes 3-1/2 hours", Ok("3.5"));
    check("- 5 apples", Ok("5"));
    check("on 2024/05/12", Ok("12"));
    check("It has H2O and 7 x2 COVID-19", Ok("7"));
    check("答案是5个。", Ok("5"));
}

#[test]
fn dozens_count_where_they_are_the_value() {
    check("She fills 3 boxes, so she needs two dozen eggs.", Ok("2 dozen"));
    check("The answer is a dozen.", Ok("1 dozen"));
    check("#### half a dozen", Ok("0.5 dozen"));
    check("Eggs cost $3 a dozen.", Ok("3"));
    check("3 boxes hold dozens of eggs, several dozen.", Ok("3"));
    check("\\boxed{2 \\text{ dozen}}", Ok("2 dozen"));
    check("The answer is 5 mil.", Err(Unread::Formula));
    check("5 mils thick", Ok("5"));
}

#[test]
fn a_text_that_repeats_itself_is_read_in_linear_time() {
    for part in ["1,", "1/", "(5) ", "1 or ", "x^", "{\\over ", "Answer:\n5\n", "5^2/"] {
        let _ = answer(&part.repeat(100_000 / part.len()));
    }
    let _ = answer(&format!("Answer: 5 ({})", "1 ".repeat(50_000)));
}

#[test]
fn a_text_without_an_answer_says_why() {
    check("I cannot say.", Err(Unread::NoNumber));
    check("", Err(Unread::NoNumber));
    check("$.", Err(Unread::NoNumber));
    check("#### 7, that is \\boxed{8}", Err(Unread::Ambiguous));
    check("The answer is 8. The answer is 9.", Err(Unread::Ambiguous));
    check("A: 5\nA: 18", Err(Unread::Ambiguous));
    check("<answer>5</answer> so \\boxed{6}", Err(Unread::Ambiguous));
    check(r"of 9 it is \boxed{3, 4}", Err(Unread::Several));
    check("The answer is 3-5", Err(Unread::Several));
    check(r"of 9 it is \boxed{\text{no solution}}", Err(Unread::Formula));
    check(r"so it is \sqrt{2}", Err(Unread::Formula));
    check("so it is 2π", Err(Unread::Formula));
    check("He has 3 bags. The total (10 + 5).", Err(Unread::Formula));
    check("So it is 10 + 5.", Err(Unread::Formula));
    check("3 * 5 = 10 + 5", Err(Unread::Formula));
    check("It is 15 - (10 + 5)", Err(Unread::Formula));
    check("That is 0.5(20)", Err(Unread::Formula));
}

#[test]
fn a_minus_is_a_sign_behind_currencies_and_letters_and_in_a_marked_place() {
    for text in [
        "Total: €-5.",
        "Total: £−5",
        "₹-5",
        "It is € -5",
        "#### €-5",
        "#### -USD5",
        "#### USD-5",
        "It falls by -USD 5",
        "答案是-5。",
        "结果为−5",
        "第2题的答案是-5",
        "答えは-5です",
        "#### - 5",
        "#### € - 5",
        "The answer is − 5",
        "The answer is: **- 5**",
        "Answer: − 5",
        r"\boxed{- 5}",
        r"\boxed{x = - 5}",
        r"\boxed{\text{minus } 5}",
        r"\boxed{\text{negative }5}",
    ] {
        check(text, Ok("-5"));
    }
    check("10€-5€", Ok("5"));
    check("The answer is:\n- 5 apples", Ok("5"));
    check("10公里-5公里", Ok("5"));
}

#[test]
fn a_list_is_no_decimal_and_where_it_is_marked_several() {
    for text in [
        "#### 5, 6",
        "#### 1,2,3",
        "#### 5 & 6",
        "#### x = 5, y = 6",
        "The answer is x = 5 or x = 6",
        "The answers are 5 and 6",
        "The answer is (5, 6)",
        "The answer is 1, 2, 3 or 4",
        "The answer is 5 and 6.",
        "Answer: 5, 6",
        "<answer>1,2,3</answer>",
        r"\boxed{x = 5 \text{ or } x = 6}",
        r"\boxed{x=5, y=6}",
    ] {
        check(text, Err(Unread::Several));
    }
    check("pages 10,11,12", Ok("12"));
    check("The answer is 5, 3 of which are red", Ok("5"));
    check("Rp18.000,00", Ok("18000"));
    check("so 1,000,00", Err(Unread::Formula));
    check("in version 1.2.3", Err(Unread::Formula));
}

#[test]
fn parts_of_a_measure_and_ends_of_a_range_are_several() {
    for text in [
        "The answer is 20 hours and 30 minutes.",
        "The answer is 57 feet 6 inches.",
        "The answer is 57h 30m.",
        "#### 1 hour, 20 minutes and 30 seconds",
        "Answer: 5 pounds 4 ounces\nThat took 3 steps.",
        "So it takes 57 feet and 6 inches.",
        "So it takes **2 weeks and 3 days**",
        "So it is 57 feet, 6 inches.",
        r"\boxed{57 \text{ to } 62}",
        "The answer is 57 to 62.",
        "The answer is **57** to **62**",
        "The answer is 57 feet to 62 feet.",
        "Answer: 57 to 62\nThat took 3 steps.",
        "The answer is 57 through 62",
        "Answer: 57到62",
        "<answer>57 to 62</answer>",
        "<answer>2 hours and 30 minutes</answer>",
        "The answer is between 57 and 62.",
        "So it is between $57 and $62",
    ] {
        let found = answer(text);
        let is_none = matches!(found, Err(Unread::Several | Unread::Formula));
        assert!(is_none, "{text}: {found:?}");
    }
    check("The answer is 20 hours and 30 minutes.", Err(Unread::Several));
    for (text, value) in [
        ("The answer is 57 dollars and 20 cents.", "57.2"),
        ("It costs 57 dollars and 20 cents", "57.2"),
        ("Answer: $57 and 20 cents", "57.2"),
        ("The answer is 2 hours and 30 minutes = 150 minutes", "150"),
        ("2 hours and 30 minutes = 150 minutes.", "150"),
        ("The answer is 150 minutes = 2 hours and 30 minutes", "150"),
        ("It takes 150 minutes (2 hours and 30 minutes).", "150"),
        ("It takes 2 hours and 30 minutes (150 minutes).", "150"),
        ("#### 3 hours × 2 = 6 hours 30 times", "6"),
        ("between 3 and 5 there are 4", "4"),
        ("20 hours a week for 5 weeks is 100", "100"),
        ("So he works 5 days, 8 hours a day", "8"),
        ("After 3 weeks, 2 days remain.", "2"),
        ("She has 3 days and 2 tickets", "2"),
        ("It takes 30 minutes and 2 hours of sleep", "2"),
        ("The price rose from $57 to $62.", "62"),
        ("Adding 3 to 4 makes 7", "7"),
        ("The answer is 3.14 to 2 decimal places.", "3.14"),
        ("The answer is 7 rounded to 7", "7"),
        ("The answer is 5 days. 3 hours were lost", "5"),
    ] {
        check(text, Ok(value));
    }
}

#[test]
fn what_html_raises_or_lowers_is_a_power_or_an_index() {
    check("The area is 474 m<sup>2</sup>.", Ok("474"));
    check("The answer is 57 × 10<sup>3</sup>.", Ok("57000"));
    check("It is the 5<sup>th</sup>, of H<sub>2</sub>O", Ok("5"));
    check("x<sub>1</sub> = 7", Ok("7"));
    check("so it is 5<sup>2</sup>", Err(Unread::Formula));
    check("5 <sup>is open", Ok("5"));
    check("2 < 5", Ok("5"));
}

#[test]
fn what_a_number_is_a_part_of_is_a_formula() {
    for text in [
        "so it is √2",
        "so it is 1/0",
        "so it is 1e400",
        "so it is 3x-5",
        "so it is 3x - 5",
        "so it is x^2 + 5",
        "The answer is 5x",
        "so it is 5i.",
        "so it is 101_2",
        "so it is 0x1F",
        "so it is 0xff",
        "so it is 101_{two}",
        "so it is log 5",
        "so f(5)",
        "so ∛8",
        "so it is 5^x",
        "x = 15 - 3",
        "at 18:30",
        "from 22:30 to 00:15",
        "The answer is 7:30 PM",
        "Answer: 00:15 the next day",
        "of 5 it is 3:4",
        r"so \sin 30",
        r"\boxed{5x}",
        r"\boxed{7!}",
    ] {
        check(text, Err(Unread::Formula));
    }
    for text in [
        "$5x^{-1}$",
        "2^{1/2}",
        "2^{1.5}",
        "2^(1/2)",
        "2^1/2",
        "2^-1",
        "10^{1/2}",
        "x^{2} + 5",
        "x^2/4",
        r"{10+2 \over 3}",
        r"{5 \choose 2}",
    ] {
        check(&format!("so it is {text}"), Err(Unread::Formula));
    }
    check("It is 5x faster.", Ok("5"));
    check("It is 5 m.", Ok("5"));
    check("It is at max 5.", Ok("5"));
    check("It is 90^\\circ", Ok("90"));
}

#[test]
fn powers_and_indexes_are_read_over_with_all_that_they_hold() {
    check("It moves at 5 m s^{-1}.", Ok("5"));
    check("So the speed is 5 ms⁻¹.", Ok("5"));
    check(r"The speed is $5\,\mathrm{m\,s^{-1}}$.", Ok("5"));
    check("of 9 x_{-1}, a_{1,2}, y^{(3)}, b_{n+1}, c^{2n+1}", Ok("9"));
    check(r"of 9 x^\text{2nd} y^\frac{1}{2} z^\prime.", Ok("9"));
    check("the 5^{th} and 10^{-3}", Ok("0.001"));
    check("e^{-2}", Err(Unread::NoNumber));
    check("#### 2^{4} + 2 = 18", Ok("18"));
    check("x^{2 is 7 and 8", Ok("8"));
    check("^_^ 5 apples", Ok("5"));
    check(r"$$\begin{aligned} x &= 5 \\[4pt] \end{aligned}$$", Ok("5"));
}

#[test]
fn an_answer_may_stand_under_its_name() {
    check("**Answer:**\n72\n\nCheck: 3 friends.", Ok("72"));
    check("### Final Answer\n\n72 clips\n\nShe sold them to 3 friends.", Ok("72"));
    check("**Final Answer:**\n\n$72$\n\n(48 in April and 24 in May.)", Ok("72"));
    check("Answer:\n\n72\n\nNote that May has 31 days.", Ok("72"));
    check("Answer:\n1. Add 48.\n2. That makes 72", Ok("72"));
    check("Answer:\n2 steps are needed for this:\n#### 72", Ok("72"));
    check("A\n5 of them are 72", Ok("72"));
}

#[test]
fn one_value_in_two_forms_is_one_answer() {
    check("#### 3/4 or 0.75", Ok("0.75"));
    check("The answer is 3/5, or 0.6", Ok("0.6"));
    check("The answer is 6/10 or 60%", Ok("0.6"));
    check("Answer: 3/4 or 0.75", Ok("0.75"));
    check(r"\boxed{\dfrac{3}{4} \text{ or } 0.75}", Ok("0.75"));
    check(r"\boxed{x = \frac{1}{3} \approx 0.333}", Ok("1/3"));
    check("#### 1/3 ≈ 0.333", Ok("1/3"));
    check("The answer is 2/3 ≈ 0.667.", Ok("2/3"));
    check("The answer is 44/3 ≈ 15.", Ok("15"));
    check("The answer is 44/3 ≈ $14.67.", Ok("14.67"));
    check("The answer is 3 or 4", Err(Unread::Several));
}

#[test]
fn a_value_in_front_of_its_computation_is_the_answer() {
    check("12 = 15 - 3", Ok("12"));
    check("So there are 8 = 12 − 4 left.", Ok("8"));
    check("So there are 8 apples = 12 apples − 4 apples.", Ok("8"));
    check("12 = 10 + 5 - 3", Ok("12"));
    check("12 = 6 x 2", Ok("12"));
    check("12 = 6x2", Ok("12"));
    check("12 = 20% of 60", Ok("12"));
    check("-1=5-6", Ok("-1"));
    check("8 = √64", Ok("8"));
    check("15, i.e. 3 * 5.", Ok("15"));
    check("15, that is, 3 × 5", Ok("15"));
    check("#### 12 = 15 - 3", Ok("12"));
    check("See [72](http://x.y/3)", Ok("72"));
    check("It is 72, see https://x.y/3?a=4.", Ok("72"));
}

#[test]
fn amounts_are_read_in_more_words_and_currencies() {
    check("1.8 lakhs", Ok("180000"));
    check("2 crores", Ok("20000000"));
    check("5 millions", Ok("5000000"));
    check("20-thousand", Ok("20000"));
    check("2万元", Ok("20000"));
    for text in ["kr18", "AED18", "KSh18", "PKR18", "Ft18", "DM18", "Rp18"] {
        check(text, Ok("18"));
    }
    check(r"\boxed{\frac{-3}{-4}}", Ok("0.75"));
    for mark in ["<|user|>", "<|start_header_id|>user", "[INST]", "<start_of_turn>user"] {
        check(&format!("so 18{mark}\n2+2? 4"), Ok("18"));
    }
    check("<|start_header_id|>assistant<|end_header_id|>18<|eot_id|>\n4", Ok("18"));
}

#[test]
fn a_gold_is_one_number_or_none() {
    let check = |text, expected: Result<&str, Unread>| {
        let found = gold(text).map(|number| number.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text}");
    };
    check("so 5 of 6\n#### 1,250", Ok("1250"));
    check(r"It is $\boxed{7}$.", Ok("7"));
    check("- 7", Ok("-7"));
    check("of 5 there are 7", Err(Unread::Formula));
    check("Tom has 7", Err(Unread::Formula));
    check("(3,4)", Err(Unread::Several));
    check("seventy", Err(Unread::NoNumber));
}

#[test]
fn a_power_in_braces_with_digits_behind_is_a_formula() {
    for text in [
        r"\boxed{2^{3}3^{2}}",
        "The prime factorization is $2^{3}3^{2}$",
        "2^{10}1024",
        "#### 2^{3}3",
        "5<sup>2</sup>3",
        "so 2^{3^{4",
    ] {
        assert!(matches!(answer(text), Err(Unread::Formula | Unread::Several)), "{text}");
    }
    assert!(gold("2^{3}3^{2}").is_err());
    // A bracket that opens inside of a power is none around what stands behind.
    check("2^{(3} 4)", Ok("4"));
}

proptest! {
    #[test]
    fn numbers_of_any_text_stand_in_order_and_apart(text in "[-0-9{}()^_,.=$%:/x \\\\½²×a]{0,40}") {
        let plain = plain(&text);
        let tokens = scan(&plain);
        for pair in tokens.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start, "{tokens:?}");
        }
        // Neither panics.
        let _ = (answer(&text), gold(&text));
    }
}

#[test]
fn a_long_row_of_marks_or_ratios_is_read_once() {
    // Read again from each place, each of them takes minutes.
    for text in ["1:".repeat(100_000), "#".repeat(300_000), "#### ".repeat(50_000)] {
        assert!(answer(&text).is_err());
    }
}

#[test]
fn every_sign_of_a_product_makes_a_power_of_ten() {
    for sign in ["⋅", "∙", "•", "∗", "⨯", "✕", "✖", "X", r"\ast", r"\cdotp", r"\bullet", "&sdot;"]
    {
        check(&format!("The speed is 3.0 {sign} 10^8 m/s"), Ok("300000000"));
        check(&format!("The answer is $3.0 {sign} 10^{{8}}$"), Ok("300000000"));
    }
    check("The answer is 3.0⋅10⁸", Ok("300000000"));
}

#[test]
fn magnitudes_are_read_in_whole() {
    for (text, expected) in [
        ("1万2千", "12000"),
        ("1万2345", "12345"),
        ("3亿5000万", "350000000"),
        ("3억 5000만", "350000000"),
        ("5千", "5000"),
        ("5千万", "50000000"),
        ("5千克", "5"),
        ("2천", "2000"),
        ("3 hundred million", "300000000"),
        ("3 million 500 thousand", "3500000"),
        ("1 lakh and 20 thousand", "120000"),
        ("3,5 Millionen Euro", "3500000"),
        ("2 млн", "2000000"),
        ("1.5 тыс.", "1500"),
        ("5 Euro und 20 Cent", "5.2"),
        ("2 rupees 50 paise", "2.5"),
    ] {
        check(&format!("The answer is {text}"), Ok(expected));
    }
    check("The answer is 1万2", Err(Unread::Formula));
    check("It costs 3 million and 5 people pay", Ok("5"));
}

#[test]
fn parts_of_one_measure_are_no_answer_alone() {
    for text in [
        "5 ft 10 in",
        "5'10\"",
        "1m30s",
        "1h30m",
        "6 lbs. 4 oz.",
        "3 wk 2 d",
        "30° 15'",
        "2時間30分",
        "3小时20分钟",
        "2 Stunden 30 Minuten",
    ] {
        check(&format!("The answer is {text}"), Err(Unread::Several));
        check(&format!("So it is {text}"), Err(Unread::Several));
    }
    check("The answer is 5 m2", Ok("5"));
    check("It took 5 minutes. 10 seconds are left", Ok("10"));
}

#[test]
fn a_value_told_again_is_the_first_one_under_every_mark() {
    for value in [
        "90 minutes = 1.5 hours",
        "90 minutes, or 1.5 hours",
        "90 minutes (1.5 hours)",
        "90 minutes = 1 hour 30 minutes",
    ] {
        for mark in ["The answer is ", "**Answer:** ", "#### ", "Answer:\n", "<answer>"] {
            check(&format!("{mark}{value}"), Ok("90"));
        }
    }
    check(r"\boxed{90 \text{ minutes} = 1.5 \text{ hours}}", Ok("90"));
    check("**Answer:** 1/6 or about 16.7%", Ok("1/6"));
    check("<answer>18 liters after 3 hours</answer>", Ok("18"));
    check("Answer: 3 apples or 4 pears", Ok("4"));
    // A line that goes on to compute gives its answer at its end.
    check("Answer: 15 gallons = 120 pints, 120/5 = 24 and 24/4 = 6", Ok("6"));
}

#[test]
fn a_named_value_of_an_object_is_the_answer() {
    check(r#"{"answer": 18, "confidence": 0.95}"#, Ok("18"));
    check("```json\n{\"final_answer\": \"$1,018\", \"steps\": [1, 2]}\n```", Ok("1018"));
    check(r#"{"steps": 3, "answer": "18 apples"}"#, Ok("18"));
    check(r#"{"answer": null, "n": 3}"#, Ok("3"));
    check("{'answer': 18, 'confidence': 0.95}", Ok("18"));
    check("answer: 18, confidence: 0.95", Ok("18"));
    check(r"\boxed{\textbf{(C)}\ 18}", Ok("18"));
    check(r"\boxed{f(C) 18}", Err(Unread::Formula));
}

#[test]
fn percent_is_read_in_other_spellings() {
    for text in ["75 per cent", "75٪", "75﹪"] {
        check(&format!("The answer is {text}"), Ok("75%"));
    }
    check("75 per centimetre", Ok("75"));
}

#[test]
fn what_says_how_exact_a_value_is_or_of_what_is_no_answer() {
    check("18.00 (to 2 d.p.)", Ok("18"));
    check("18 to 2 decimal places", Ok("18"));
    check("It is 18, correct to 3 significant figures", Ok("18"));
    check("She travels to 2 places", Ok("2"));
    check("x = 2 or x = 3", Err(Unread::Several));
    check(r"$18 \pmod{100}$", Err(Unread::Formula));
}

#[test]
fn digits_of_more_scripts_are_read() {
    for text in ["౧౮", "௧௮", "೧೮", "૧૮", "੧੮", "൧൮", "୧୮", "១៨", "໑໘", "၁၈"]
    {
        check(text, Ok("18"));
    }
}
