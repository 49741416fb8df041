//! The main table for LaTeX, with the rules of the package `booktabs`.
//!
//! `pdflatex` takes it as it stands; names in letters that it has not want `xelatex` or `lualatex`.

use crate::report::view::ReportView;
use crate::report::view::table::{Column, Table, TableCell};

/// Renders the table of results, with the title as its caption.
pub(crate) fn render(view: &ReportView) -> String {
    let Table { columns, rows, .. } = &view.results;
    let alignment: String = columns.iter().map(|it| if it.numeric { 'r' } else { 'l' }).collect();
    let mut lines = vec![
        "% \\usepackage{booktabs}".to_owned(),
        "\\begin{table}".to_owned(),
        format!("\\caption{{{}}}", escaped(&view.title)),
        format!("\\begin{{tabular}}{{{alignment}}}"),
        "\\toprule".to_owned(),
        row(columns.iter().map(Column::title)),
        "\\midrule".to_owned(),
    ];
    lines.extend(rows.iter().map(|cells| row(cells.iter().map(told))));
    lines.extend(["\\bottomrule", "\\end{tabular}", "\\end{table}"].map(str::to_owned));
    lines.join("\n") + "\n"
}

/// Returns a number with its uncertainty; caveats have no numbers here.
fn told(cell: &TableCell) -> String {
    let TableCell { text, spread, .. } = cell;
    if spread.is_empty() { text.to_string() } else { format!("{text} {spread}") }
}

fn row(cells: impl Iterator<Item = String>) -> String {
    let row = cells.map(|cell| escaped(&cell)).collect::<Vec<_>>().join(" & ");
    // Behind the `\\` of the row before, `[` would begin a length.
    let row = if row.starts_with('[') { format!("{{}}{row}") } else { row };
    format!("{row} \\\\")
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut before = ' ';
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => safe.extend(['\\', character]),
            // `--flag` is no dash.
            '-' if before == '-' => safe.push_str("{}-"),
            // Nor are these the marks of languages, or of the start of a mode.
            '"' => safe.push_str("\\textquotedbl{}"),
            '`' => safe.push_str("\\textasciigrave{}"),
            '|' => safe.push_str("\\textbar{}"),
            '\\' => safe.push_str("\\textbackslash{}"),
            '~' => safe.push_str("\\textasciitilde{}"),
            '^' => safe.push_str("\\textasciicircum{}"),
            '<' => safe.push_str("\\textless{}"),
            '>' => safe.push_str("\\textgreater{}"),
            '±' => safe.push_str("$\\pm$"),
            '×' => safe.push_str("$\\times$"),
            '−' => safe.push_str("$-$"),
            '≤' => safe.push_str("$\\leq$"),
            '≥' => safe.push_str("$\\geq$"),
            '≈' => safe.push_str("$\\approx$"),
            '✓' => safe.push_str("met"),
            '✗' => safe.push_str("missed"),
            '–' => safe.push_str("--"),
            // A line end in a name would begin a paragraph, which a table may not have.
            _ if character.is_control() => safe.push(' '),
            _ => safe.push(character),
        }
        before = character;
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample_run;

    #[test]
    fn the_table_is_one_that_latex_takes() {
        insta::assert_snapshot!(render(&sample_run::view()));
    }

    #[test]
    fn what_latex_would_read_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(escaped(text), expected, "{text}");
        check(r"50 % of a_b \x ±2", r"50 \% of a\_b \textbackslash{}x $\pm$2");
        check("#1 & {2} $3 ~4 ^5", r"\#1 \& \{2\} \$3 \textasciitilde{}4 \textasciicircum{}5");
        check("--eager a-b ---", "-{}-eager a-b -{}-{}-");
        check(
            "\"<|x|>\" `y`",
            concat!(
                r"\textquotedbl{}\textless{}\textbar{}x\textbar{}\textgreater{}\textquotedbl{}",
                r" \textasciigrave{}y\textasciigrave{}",
            ),
        );
        check("−5 ≤ 3 × 2 – ≈ ≥", r"$-$5 $\leq$ 3 $\times$ 2 -- $\approx$ $\geq$");
        check("a\n\nb\tc", "a  b c");
        let cells = ["[1, 2]", "3"].map(str::to_owned);
        assert_eq!(row(cells.into_iter()), r"{}[1, 2] & 3 \\");
    }
}
