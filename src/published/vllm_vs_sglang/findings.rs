//! Key findings and recommendations: two engines over concurrency, with winners by stated rules.

use indexmap::IndexSet;

use crate::metrics::catalogue::MetricId;
use crate::metrics::quantity::Quantity;
use crate::metrics::summary::{CellSummary, Figure, NumberState};

/// Share within which two figures are a tie.
pub(crate) const TIE: f64 = 0.02;
/// Share by which the answers of two cells may differ for their durations to be of one work.
const SAME_WORK: f64 = 0.01;
/// Why nobody wins where a side has no value.
const NOT_MEASURED: &str = "not measured on both";
/// Why nobody wins by duration where that was given, or what failed took none.
const OTHER_WORK: &str = "not of as many answers";

/// Key findings of two engines on one model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeyFindings {
    /// What the cells share beside engine and load, `model=…`, and the engines where there are more
    /// than two; may be empty.
    pub(crate) title: String,
    /// The engines, in the order of the scenario.
    pub(crate) engines: [String; 2],
    /// Findings, the published ones first.
    pub(crate) findings: Vec<Finding>,
    /// What follows for each use.
    pub(crate) recommendations: Vec<Recommendation>,
}

/// One metric of both engines.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// Metric as published.
    pub(crate) metric: String,
    /// Unit of both values.
    pub(crate) unit: String,
    /// Values of both engines.
    pub(crate) sides: [Option<Figure>; 2],
    /// Which engine wins; absent on a tie, and where a value is missing.
    pub(crate) winner: Option<usize>,
    /// The first engine over the second minus one, seen from the winner: −0.16 is 16 % less.
    pub(crate) margin: Option<f64>,
    /// Why nobody wins; empty where somebody does.
    pub(crate) tie: &'static str,
    /// The load of both values; absent for a peak, which each has at its own.
    pub(crate) at: Option<f64>,
}

/// An engine for a use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recommendation {
    /// The use, as published.
    pub(crate) use_case: &'static str,
    /// The engine.
    ///
    /// # Errors
    /// Why the figures decide for none.
    pub(crate) engine: Result<String, String>,
    /// Which figures decide.
    pub(crate) rule: &'static str,
}

/// A swept key that is the number of requests at once.
const LOAD: &str = "concurrency";

impl KeyFindings {
    /// Makes the findings of each two engines, for each combination of the other keys.
    pub(crate) fn all_of(cells: &[&CellSummary]) -> Vec<Self> {
        let mut groups: Vec<(String, Vec<&CellSummary>)> = Vec::new();
        for cell in cells {
            let others = cell.keys.iter().filter(|(key, _)| *key != "engine" && *key != LOAD);
            let title: Vec<String> = others.map(|(key, value)| format!("{key}={value}")).collect();
            let title = title.join(", ");
            match groups.iter_mut().find(|(found, _)| *found == title) {
                Some((_, group)) => group.push(cell),
                None => groups.push((title, vec![cell])),
            }
        }
        groups.into_iter().flat_map(|(title, cells)| Self::of_group(&title, &cells)).collect()
    }

    fn of_group(title: &str, cells: &[&CellSummary]) -> Vec<Self> {
        let engines = cells.iter().filter_map(|cell| cell.keys.get("engine"));
        let engines: IndexSet<&String> = engines.collect();
        let several = engines.len() > 2;
        let pairs = (0..engines.len())
            .flat_map(|one| (one + 1..engines.len()).map(move |other| (one, other)));
        let found = pairs.filter_map(|(one, other)| {
            let (first, second) = (engines[one], engines[other]);
            let pair = several.then(|| format!("{first} against {second}"));
            let parts: Vec<String> =
                pair.into_iter().chain([title.to_owned()]).filter(|it| !it.is_empty()).collect();
            Self::of(parts.join(", "), [first, second], cells)
        });
        found.collect()
    }

    fn of(title: String, [first, second]: [&String; 2], cells: &[&CellSummary]) -> Option<Self> {
        let sides = [first, second].map(|engine| Side::of(engine, cells));
        let (low, high) =
            (sides[0].common_load(&sides[1], true)?, sides[0].common_load(&sides[1], false)?);
        let at = |load: f64, quantity: &Quantity| {
            sides.each_ref().map(|side| side.at(load).and_then(|cell| usable(quantity, cell)))
        };
        let figure = |metric| Quantity::figure(metric);
        let duration = figure(MetricId::WholeRun);
        let speed = figure(MetricId::OutputThroughput);
        let peaks = || sides.each_ref().map(|side| side.peak(&speed));
        let of = |name: &str, load: f64, quantity: &Quantity, more_is_better| Finding {
            at: Some(load),
            ..Finding::of(name, at(load, quantity), more_is_better)
        };
        let lasted = |name: &str, load: f64| {
            let [one, other] = sides.each_ref().map(|side| side.at(load));
            let found = of(&format!("{name} ({load})"), load, &duration, false);
            if one.zip(other).is_some_and(|(one, other)| is_same_work(one, other)) {
                found
            } else {
                found.open(OTHER_WORK)
            }
        };
        let findings = vec![
            lasted("Low Concurrency", low),
            lasted("High Concurrency", high),
            Finding::of("Peak TPS", peaks(), true),
            // As published, although a busy device is no merit by itself.
            of("GPU Utilization", high, &figure(MetricId::GpuUtilisation), true),
            of("Power Efficiency", high, &figure(MetricId::PowerMean), false),
            of("Energy per token", high, &figure(MetricId::EnergyPerToken), false),
        ];
        let first_token = Quantity::percentile(MetricId::Ttft, 50.0);
        let wins = |finding: &Finding| match finding.winner {
            Some(winner) => Ok([first, second][winner].clone()),
            None => Err(finding.verdict(&[first.clone(), second.clone()])),
        };
        let (batch, of_batch) = if findings[1].tie == OTHER_WORK {
            let rule = "more output tokens per second at the highest concurrency, where the durations \
                        are not of as many answers";
            (wins(&Finding::of("", at(high, &speed), true)), rule)
        } else {
            (wins(&findings[1]), "shorter duration at the highest concurrency")
        };
        let recommendations = vec![
            Recommendation {
                use_case: "Chatbots, APIs, Interactive Apps",
                engine: wins(&Finding::of("", at(low, &first_token), false)),
                rule: "lower median TTFT at the lowest concurrency",
            },
            Recommendation {
                use_case: "Batch Processing, Data Generation",
                engine: batch,
                rule: of_batch,
            },
            Recommendation {
                use_case: "Power-Constrained Environments",
                engine: wins(&findings[5]),
                rule: "less energy per output token at the highest concurrency",
            },
            Recommendation {
                use_case: "Maximum Throughput",
                engine: wins(&findings[2]),
                rule: "higher peak of output tokens per second",
            },
        ];
        let engines = [first.clone(), second.clone()];
        Some(Self { title, engines, findings, recommendations })
    }
}

/// The cells of one engine by load.
struct Side<'a> {
    cells: Vec<(f64, &'a CellSummary)>,
}

impl<'a> Side<'a> {
    fn of(engine: &String, cells: &[&'a CellSummary]) -> Self {
        let load = |cell: &CellSummary| cell.keys.get(LOAD)?.parse::<f64>().ok();
        let own = cells.iter().filter(|cell| cell.keys.get("engine") == Some(engine));
        Self { cells: own.filter_map(|cell| Some((load(cell)?, *cell))).collect() }
    }

    /// Returns the lowest or the highest load that both engines have.
    fn common_load(&self, other: &Self, is_lowest: bool) -> Option<f64> {
        let loads = self.cells.iter().map(|(load, _)| *load);
        let common = loads.filter(|load| other.at(*load).is_some());
        if is_lowest { common.reduce(f64::min) } else { common.reduce(f64::max) }
    }

    fn at(&self, load: f64) -> Option<&'a CellSummary> {
        self.cells.iter().find(|(found, _)| found.total_cmp(&load).is_eq()).map(|(_, cell)| *cell)
    }

    fn peak(&self, quantity: &Quantity) -> Option<Figure> {
        let figures = self.cells.iter().filter_map(|(_, cell)| usable(quantity, cell));
        figures.max_by(|a, b| a.value.unwrap_or(0.0).total_cmp(&b.value.unwrap_or(0.0)))
    }
}

/// Whether two cells answered as many requests: where a load is given by time, or requests failed, a
/// duration says nothing of the engine.
fn is_same_work(one: &CellSummary, other: &CellSummary) -> bool {
    let (few, many) = (one.counts.ok.min(other.counts.ok), one.counts.ok.max(other.counts.ok));
    (many - few) as f64 <= SAME_WORK * many as f64
}

/// Reads a figure that may be compared.
fn usable(quantity: &Quantity, cell: &CellSummary) -> Option<Figure> {
    let figure = quantity.read(cell).filter(|_| cell.validity.status.is_measured())?;
    let is_valid = figure.state != Some(NumberState::Invalid);
    (is_valid && figure.value.is_some_and(f64::is_finite)).then_some(figure)
}

impl Finding {
    /// Names the winner: the better value, unless the two are within [`TIE`] of each other or
    /// their 95 % intervals overlap, where both have one.
    fn of(metric: impl Into<String>, sides: [Option<Figure>; 2], more_is_better: bool) -> Self {
        let mut finding = Self {
            metric: metric.into(),
            unit: sides.iter().flatten().next().map_or_else(String::new, |it| it.unit.to_owned()),
            sides,
            winner: None,
            margin: None,
            tie: NOT_MEASURED,
            at: None,
        };
        let [Some(first), Some(second)] = &finding.sides else { return finding };
        let (Some(a), Some(b)) = (first.value, second.value) else { return finding };
        let better = usize::from((b > a) == more_is_better && a.total_cmp(&b).is_ne());
        let (winner, loser) = if better == 0 { (a, b) } else { (b, a) };
        let margin = winner / loser - 1.0;
        if loser > 0.0 && margin.is_finite() {
            finding.margin = Some(margin);
        }
        let overlap = match (first.interval, second.interval) {
            (Some(first), Some(second)) => first.0 <= second.1 && second.0 <= first.1,
            _ => false,
        };
        match () {
            () if finding.margin.is_none_or(|margin| margin.abs() <= TIE) => {
                finding.tie = "within 2 %";
            }
            () if overlap => finding.tie = "the intervals overlap",
            () => {
                finding.winner = Some(better);
                finding.tie = "";
            }
        }
        finding
    }

    /// Takes the winner away, for a reason.
    fn open(self, why: &'static str) -> Self {
        if self.tie == NOT_MEASURED {
            return self;
        }
        Self { winner: None, margin: None, tie: why, ..self }
    }

    /// Prints the winner as published: `SGLang (+28%)`, or why there is none.
    pub(crate) fn verdict(&self, engines: &[String; 2]) -> String {
        match (self.winner, self.margin) {
            (Some(winner), Some(margin)) => {
                format!("{} ({:+.0}%)", engines[winner], margin * 100.0).replace('-', "−")
            }
            _ if [NOT_MEASURED, OTHER_WORK].contains(&self.tie) => self.tie.to_owned(),
            _ => format!("tie: {}", self.tie),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::fixture::{measured_cell, with_figure};

    #[expect(clippy::unnecessary_wraps, reason = "a side of a finding may be absent")]
    fn figure(value: f64, interval: Option<(f64, f64)>) -> Option<Figure> {
        Some(Figure { value: Some(value), interval, ..Figure::default() })
    }

    fn verdict(sides: [Option<Figure>; 2], more_is_better: bool) -> String {
        let engines = ["vLLM".to_owned(), "SGLang".to_owned()];
        Finding::of("m", sides, more_is_better).verdict(&engines)
    }

    #[test]
    fn winners_and_ties_follow_the_stated_rules() {
        // The published figures: 2,311 and 2,950 tok/s, 289 and 343 W.
        let tps = [figure(2_311.0, None), figure(2_950.0, None)];
        assert_eq!(verdict(tps.clone(), true), "SGLang (+28%)");
        // Published as -19 %, which divides by the wrong side.
        assert_eq!(verdict([figure(289.0, None), figure(343.0, None)], false), "vLLM (−16%)");
        assert_eq!(verdict([figure(100.0, None), figure(101.9, None)], true), "tie: within 2 %");
        let wide = Some((2_000.0, 3_000.0));
        let [a, b] = [figure(2_311.0, wide), figure(2_950.0, wide)];
        assert_eq!(verdict([a, b], true), "tie: the intervals overlap");
        assert_eq!(verdict([figure(1.0, None), None], true), "not measured on both");
        assert_eq!(verdict([figure(5.0, None), figure(5.0, None)], true), "tie: within 2 %");
    }

    fn cell(engine: &str, concurrency: &str, speed: f64, secs: f64) -> CellSummary {
        let cell = measured_cell(&format!("{engine}-{concurrency}"), "bf16");
        let cell = with_figure(cell, MetricId::OutputThroughput, speed, None);
        let mut cell = with_figure(cell, MetricId::WholeRun, secs, None);
        cell.keys.insert("engine".to_owned(), engine.to_owned());
        cell.keys.insert(LOAD.to_owned(), concurrency.to_owned());
        cell
    }

    #[test]
    fn findings_and_recommendations_follow_from_the_cells() {
        let mut cells = vec![
            cell("vllm", "20", 862.0, 64.0),
            cell("vllm", "100", 2_311.0, 24.0),
            cell("sglang", "20", 842.0, 80.0),
            cell("sglang", "100", 2_950.0, 23.0),
        ];
        let of = |cells: &[CellSummary]| {
            let found = KeyFindings::all_of(&cells.iter().collect::<Vec<_>>()).remove(0);
            let told = found.findings.iter().map(|finding| finding.verdict(&found.engines));
            let engines = found.recommendations.into_iter().map(|it| it.engine);
            let engines = engines.map(|engine| engine.unwrap_or_else(|why| why));
            (told.collect::<Vec<_>>(), engines.collect::<Vec<_>>())
        };
        let (verdicts, engines) = of(&cells);
        assert_eq!(verdicts[..3], ["vllm (−20%)", "sglang (−4%)", "sglang (+28%)"]);
        assert_eq!(verdicts[4], "not measured on both");
        // What nobody measured is no tie.
        let unmeasured = "not measured on both";
        assert_eq!(engines, [unmeasured, "sglang", unmeasured, "sglang"]);
        // One figure changed, and so does what follows.
        cells[3] = cell("sglang", "100", 2_300.0, 25.0);
        let (verdicts, engines) = of(&cells);
        assert_eq!(verdicts[1..3], ["vllm (−4%)", "tie: within 2 %"]);
        assert_eq!(engines, [unmeasured, "vllm", unmeasured, "tie: within 2 %"]);
    }

    #[test]
    fn durations_of_other_work_decide_nothing_and_rates_do() {
        let mut cells =
            vec![cell("vllm", "100", 2_311.0, 2.0), cell("sglang", "100", 2_950.0, 2.1)];
        (cells[0].counts.ok, cells[1].counts.ok) = (200, 255);
        let found = |cells: &[CellSummary]| {
            KeyFindings::all_of(&cells.iter().collect::<Vec<_>>()).remove(0)
        };
        let told = found(&cells);
        let verdict = |at: usize| told.findings[at].verdict(&told.engines);
        assert_eq!([verdict(0), verdict(1)], [OTHER_WORK; 2].map(str::to_owned));
        let batch = &told.recommendations[1];
        assert_eq!(batch.engine, Ok("sglang".to_owned()));
        assert!(batch.rule.starts_with("more output tokens per second"), "{batch:?}");
        // One answer of 255 that is missing is no other work.
        cells[0].counts.ok = 254;
        let told = found(&cells);
        assert_eq!(told.findings[1].verdict(&told.engines), "vllm (−5%)");
        assert_eq!(told.recommendations[1].engine, Ok("vllm".to_owned()));
    }

    #[test]
    fn each_two_of_three_engines_have_their_findings() {
        let cells = ["a", "b", "c"].map(|engine| cell(engine, "20", 100.0, 10.0));
        let found = KeyFindings::all_of(&cells.iter().collect::<Vec<_>>());
        let titles: Vec<&str> = found.iter().map(|it| it.title.as_str()).collect();
        let precision = "precision=bf16";
        let pairs = ["a against b", "a against c", "b against c"];
        assert_eq!(titles, pairs.map(|pair| format!("{pair}, {precision}")));
        assert_eq!(found[2].engines, ["b", "c"].map(str::to_owned));
    }
}
