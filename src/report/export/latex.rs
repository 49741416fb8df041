//! The main table for LaTeX, with the rules of the package `booktabs`.

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
    if spread.is_empty() { text.clone() } else { format!("{text} {spread}") }
}

fn row(cells: impl Iterator<Item = String>) -> String {
    format!("{} \\\\", cells.map(|cell| escaped(&cell)).collect::<Vec<_>>().join(" & "))
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => safe.extend(['\\', character]),
            '\\' => safe.push_str("\\textbackslash{}"),
            '~' => safe.push_str("\\textasciitilde{}"),
            '^' => safe.push_str("\\textasciicircum{}"),
            '<' => safe.push_str("\\textless{}"),
            '>' => safe.push_str("\\textgreater{}"),
            '±' => safe.push_str("$\\pm$"),
            '×' => safe.push_str("$\\times$"),
            '–' => safe.push_str("--"),
            _ => safe.push(character),
        }
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
        assert_eq!(escaped(r"50 % of a_b \x ±2"), r"50 \% of a\_b \textbackslash{}x $\pm$2");
    }
}
