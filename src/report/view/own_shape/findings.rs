//! Key findings and recommendations of two engines.

use crate::metrics::summary::CellSummary;
use crate::published::vllm_vs_sglang::findings::KeyFindings;
use crate::report::number::{ABSENT, rounded};
use crate::report::untrusted;
use crate::report::view::own_shape::ShapeView;
use crate::report::view::table::{Column, Table, TableCell, Tone};

/// Makes two tables for each model.
pub(super) fn shapes(cells: &[&CellSummary]) -> Vec<ShapeView> {
    KeyFindings::all_of(cells).iter().flat_map(|found| [findings(found), uses(found)]).collect()
}

fn titled(title: &str, of: &KeyFindings) -> String {
    if of.title.is_empty() {
        title.to_owned()
    } else {
        format!("{title}: {}", untrusted::line(&of.title))
    }
}

fn findings(found: &KeyFindings) -> ShapeView {
    let mut columns = vec![Column::words("Metric", 0)];
    columns
        .extend(found.engines.iter().map(|engine| Column::numbers(untrusted::line(engine), "", 0)));
    columns.push(Column::words("Winner", 0));
    let rows = found.findings.iter().map(|finding| {
        let mut row = vec![TableCell::text(&*finding.metric)];
        for (at, side) in finding.sides.iter().enumerate() {
            let value = side.as_ref().and_then(|figure| figure.value);
            row.push(value.map_or_else(
                || TableCell::faint(ABSENT),
                |value| TableCell {
                    tone: if finding.winner == Some(at) { Tone::Best } else { Tone::Plain },
                    ..TableCell::text(format!("{} {}", rounded(value), finding.unit))
                },
            ));
        }
        row.push(TableCell::text(untrusted::line(&finding.verdict(&found.engines))));
        row
    });
    ShapeView {
        title: titled("Key findings", found),
        table: Table { columns, rows: rows.collect(), left_out: String::new() },
        notes: vec![
            "The better figure wins. Within 2 % of each other, or with overlapping 95 % intervals \
             where both have one, two figures are a tie. The margin is the winner over the other."
                .to_owned(),
            "Duration is the whole run; utilisation, power and energy are those at the highest \
             concurrency. More utilisation wins as it does in the published table, although it is \
             no merit by itself; energy per token is not in that table."
                .to_owned(),
        ],
    }
}

fn uses(found: &KeyFindings) -> ShapeView {
    let columns = vec![
        Column::words("Use case", 0),
        Column::words("Recommended", 0),
        Column::words("because of the", 1),
    ];
    let rows = found.recommendations.iter().map(|it| {
        let engine = match &it.engine {
            Ok(engine) => TableCell::text(untrusted::line(engine)),
            Err(why) => TableCell::faint(why.as_str()),
        };
        vec![TableCell::text(it.use_case), engine, TableCell::text(it.rule)]
    });
    ShapeView {
        title: titled("Recommendations", found),
        table: Table { columns, rows: rows.collect(), left_out: String::new() },
        notes: Vec::new(),
    }
}
