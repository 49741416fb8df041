//! What a column of a report shows, and how it is read from a cell's numbers.

use serde::{Deserialize, Serialize};

use crate::metrics::catalogue;
use crate::metrics::summary::{CellSummary, Distribution, Figure};
use crate::report::number::{self, Printed};
use crate::units::Nanos;

/// What a column shows. Written as `load_time`, `accuracy`, `output_throughput`, `ttft.p50`
/// or `ttft.mean`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Quantity {
    /// Spawn to first token.
    LoadTime,
    /// Share of correct answers by the headline extractor.
    Accuracy,
    /// A single figure, by metric tag.
    Figure(String),
    /// A percentile of a distribution.
    Percentile(String, f64),
    /// The mean of a distribution.
    Mean(String),
}

/// A quantity as one cell has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The value in `unit`; when absent, `note` says why.
    pub value: Option<f64>,
    /// Interval of 95 %.
    pub interval: Option<(f64, f64)>,
    /// What was counted.
    pub n: u64,
    /// Unit as printed.
    pub unit: String,
    /// Estimator, or the reason of the absence.
    pub note: String,
}

impl Reading {
    /// Returns the rounded number, or what stands for it when it cannot be had.
    pub fn printed(&self) -> Printed {
        match self.value {
            Some(value) => number::printed(value, self.interval, &self.unit),
            None => Printed { value: self.absence().to_owned(), spread: String::new() },
        }
    }

    fn absence(&self) -> &'static str {
        if self.n == 0 {
            "no data"
        } else if self.note.starts_with(TOO_SMALL) {
            TOO_SMALL
        } else {
            number::ABSENT
        }
    }
}

/// What stands for a percentile below its sample floor.
pub const TOO_SMALL: &str = "n too small";

impl Quantity {
    /// Returns the metric tag, as caveats name it.
    pub fn tag(&self) -> &str {
        match self {
            Self::LoadTime => "load_time",
            Self::Accuracy => "accuracy",
            Self::Figure(tag) | Self::Percentile(tag, _) | Self::Mean(tag) => tag,
        }
    }

    /// Returns the name for people, without the unit.
    pub fn label(&self) -> String {
        match self {
            Self::LoadTime | Self::Accuracy | Self::Figure(_) => metric_label(self.tag()),
            Self::Percentile(tag, p) => format!("{} p{p}", metric_label(tag)),
            Self::Mean(tag) => format!("{} mean", metric_label(tag)),
        }
    }

    /// Whether more is better; `None` where it is a matter of purpose.
    pub fn larger_is_better(&self) -> Option<bool> {
        match self {
            Self::Accuracy => Some(true),
            _ => catalogue::metric(self.tag())?.larger_is_better,
        }
    }

    /// Reads the quantity of a cell; `None` when the cell does not have it at all.
    pub fn read(&self, cell: &CellSummary) -> Option<Reading> {
        match self {
            Self::LoadTime => read_load_time(cell),
            Self::Accuracy => read_accuracy(cell),
            Self::Figure(tag) => cell.figures.get(tag).map(read_figure),
            Self::Percentile(tag, p) => read_percentile(cell.distributions.get(tag)?, *p),
            Self::Mean(tag) => cell.distributions.get(tag).map(read_mean),
        }
    }
}

fn read_figure(figure: &Figure) -> Reading {
    Reading {
        value: figure.value,
        interval: figure.interval,
        n: figure.n,
        unit: figure.unit.clone(),
        note: figure.note.clone(),
    }
}

/// The figure where `metrics` gives one, else the mean over the starts that reached a token.
fn read_load_time(cell: &CellSummary) -> Option<Reading> {
    if let Some(figure) = cell.figures.get("load_time") {
        return Some(read_figure(figure));
    }
    let starts = cell.load.iter().filter_map(|start| start.first_token);
    let secs: Vec<f64> = starts.map(Nanos::as_secs_f64).collect();
    if secs.is_empty() {
        return None;
    }
    Some(Reading {
        value: Some(secs.iter().sum::<f64>() / secs.len() as f64),
        interval: None,
        n: secs.len() as u64,
        unit: "s".to_owned(),
        note: format!("mean of {}", number::counted(secs.len() as u64, "start")),
    })
}

fn read_accuracy(cell: &CellSummary) -> Option<Reading> {
    let accuracy = cell.accuracy.first()?;
    Some(Reading {
        value: accuracy.share.map(|share| share * 100.0),
        interval: accuracy.interval.map(|(low, high)| (low * 100.0, high * 100.0)),
        n: accuracy.n,
        unit: "%".to_owned(),
        note: format!("extractor `{}`; Wilson interval, 95 %", accuracy.extractor),
    })
}

fn read_percentile(distribution: &Distribution, p: f64) -> Option<Reading> {
    // Percentiles are written and read as the same literal; a tolerance only guards the float.
    let percentile = distribution.percentiles.iter().find(|at| (at.p - p).abs() < 1e-9)?;
    let note = if percentile.value.is_none() && distribution.n < percentile.n_floor {
        format!("{TOO_SMALL}: p{p} needs {}, has {}", percentile.n_floor, distribution.n)
    } else {
        distribution.note.clone().unwrap_or_default()
    };
    Some(Reading {
        value: percentile.value,
        interval: percentile.interval,
        n: distribution.n,
        unit: distribution.unit.clone(),
        note,
    })
}

fn read_mean(distribution: &Distribution) -> Reading {
    Reading {
        value: distribution.mean,
        interval: None,
        n: distribution.n,
        unit: distribution.unit.clone(),
        note: distribution.note.clone().unwrap_or_default(),
    }
}

/// Returns a metric's name for people: the catalogue's, else the tag in words. What stands
/// behind a slash (a stage, a device) follows in brackets.
pub fn metric_label(tag: &str) -> String {
    let (base, of) = tag.split_once('/').unwrap_or((tag, ""));
    let label = catalogue::metric(base)
        .map_or_else(|| base.replace('_', " "), |metric| metric.name.to_owned());
    if of.is_empty() { label } else { format!("{label} ({of})") }
}

impl TryFrom<String> for Quantity {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let Some((tag, of)) = text.split_once('.') else {
            return Ok(match text.as_str() {
                "load_time" => Self::LoadTime,
                "accuracy" => Self::Accuracy,
                _ => Self::Figure(text),
            });
        };
        if of == "mean" {
            return Ok(Self::Mean(tag.to_owned()));
        }
        match of.strip_prefix('p').and_then(|p| p.parse().ok()) {
            Some(p) => Ok(Self::Percentile(tag.to_owned(), p)),
            None => {
                Err(format!("`{of}` in `{text}` is neither `mean` nor a percentile like `p99`"))
            }
        }
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        match quantity {
            Quantity::LoadTime | Quantity::Accuracy | Quantity::Figure(_) => {
                quantity.tag().to_owned()
            }
            Quantity::Percentile(tag, p) => format!("{tag}.p{p}"),
            Quantity::Mean(tag) => format!("{tag}.mean"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_reads_back_as_it_was_written() {
        for text in ["load_time", "accuracy", "output_throughput", "ttft.p99.9", "tpot.mean"] {
            let quantity = Quantity::try_from(text.to_owned()).unwrap();
            assert_eq!(String::from(quantity), text);
        }
        assert!(Quantity::try_from("ttft.median".to_owned()).is_err());
    }

    #[test]
    fn an_unlisted_metric_is_called_by_its_tag_in_words() {
        assert_eq!(metric_label("load_stage/weights"), "load stage (weights)");
        assert_eq!(metric_label("no_such_metric"), "no such metric");
        assert_eq!(metric_label("gpu_utilisation/GPU-1"), "GPU utilisation (GPU-1)");
    }

    #[test]
    fn a_percentile_below_its_floor_is_named_too_small() {
        let reading = Reading { n: 5, note: format!("{TOO_SMALL}: …"), ..Reading::default() };
        assert_eq!(reading.printed().value, TOO_SMALL);
        assert_eq!(Reading::default().printed().value, "no data");
    }
}
