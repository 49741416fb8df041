//! Energy, power and money of a cell.

use crate::metrics::catalogue::{MetricId, MetricKey};
use crate::metrics::device::{Devices, GpuFigures, higher};
use crate::metrics::figures::Figures;
use crate::metrics::summary::Note;
use crate::metrics::totals::Totals;
use crate::stats::mean::Moments;

const BYTES_PER_GIB: f64 = (1_u64 << 30) as f64;
const SECS_PER_HOUR: f64 = 3_600.0;

/// What the figures of use are made from.
pub(crate) struct Use<'a> {
    /// One per trial.
    pub(crate) devices: &'a [Devices],
    /// One per trial.
    pub(crate) trials: &'a [Totals],
    /// Correct answers over all trials, if they were graded.
    pub(crate) n_correct: Option<u64>,
    /// Whether "good" means something.
    pub(crate) has_slo: bool,
    /// Price of an hour of all GPUs of the engine.
    pub(crate) gpu_hours_price: Option<f64>,
}

/// Sets energy, power, memory and money.
pub(crate) fn figures(figures: &mut Figures, use_of: &Use<'_>) {
    let sum = |of: &dyn Fn(&Totals) -> f64| use_of.trials.iter().map(of).sum::<f64>();
    let whole_secs = sum(&|t| t.whole_secs);
    let window_secs = sum(&|t| t.window_secs);
    let tokens = sum(&|t| t.inside.output_tokens);
    let n_good = sum(&|t| if use_of.has_slo { t.n_good } else { t.n_ok } as f64);
    energy(figures, use_of, tokens, n_good, window_secs);
    if let (Some(price), true) = (use_of.gpu_hours_price, n_good > 0.0) {
        let cost = whole_secs / SECS_PER_HOUR * price / n_good;
        let note = "GPU-hours of the whole run";
        figures.set(MetricId::CostPerGoodRequest, cost, n_good as u64, note);
    }
    if let Some(n_correct) = use_of.n_correct {
        let note = "correct answers of all trials, per second from first to last";
        if whole_secs > 0.0 {
            figures.set(MetricId::CorrectPerS, n_correct as f64 / whole_secs, n_correct, note);
        }
        if let (Some(price), true) = (use_of.gpu_hours_price, n_correct > 0) {
            let cost = whole_secs / SECS_PER_HOUR * price / n_correct as f64;
            figures.set(
                MetricId::CostPerCorrectAnswer,
                cost,
                n_correct,
                "GPU-hours of the whole run",
            );
        }
    }
    gpus(figures, use_of.devices);
}

fn energy(figures: &mut Figures, use_of: &Use<'_>, tokens: f64, n_good: f64, window_secs: f64) {
    let total = |of: fn(&Devices) -> &Result<f64, String>| {
        use_of.devices.iter().map(|devices| of(devices).clone()).sum::<Result<f64, String>>()
    };
    let window = total(|devices| &devices.energy_window_j);
    let whole = total(|devices| &devices.energy_whole_j);
    let coverage = use_of.devices.iter().filter_map(|d| d.coverage).reduce(f64::min);
    let note: Note = match (coverage, idle(use_of.devices)) {
        (Some(coverage), Some(idle)) => {
            format!("samples cover {:.0} %; idle {idle:.0} W", coverage * 100.0).into()
        }
        (Some(coverage), None) => {
            format!("samples cover {:.0} %; idle power unknown", coverage * 100.0).into()
        }
        _ => Note::default(),
    };
    let mut per = |metric: MetricId,
                   joules: &Result<f64, String>,
                   divisor: f64,
                   why_none: &'static str| match joules {
        Err(reason) => figures.absent(metric, reason.clone()),
        Ok(_) if divisor <= 0.0 => figures.absent(metric, why_none),
        Ok(joules) => figures.set(metric, joules / divisor, divisor as u64, note.clone()),
    };
    per(MetricId::EnergyPerToken, &window, tokens, "no output token in the window");
    per(MetricId::PowerMean, &window, window_secs, "the measured window has no duration");
    per(MetricId::EnergyPerGoodRequest, &whole, n_good, "no good request");
    if let Some(n_correct) = use_of.n_correct {
        per(MetricId::EnergyPerCorrectAnswer, &whole, n_correct as f64, "no correct answer");
    }
    let n = use_of.devices.len() as u64;
    match whole {
        Ok(joules) => figures.set(MetricId::Energy, joules, n, note.clone()),
        Err(reason) => figures.absent(MetricId::Energy, reason),
    }
    if let Some(idle) = idle(use_of.devices) {
        figures.set(MetricId::PowerIdle, idle, n, "all GPUs, before the first request");
    }
}

fn idle(devices: &[Devices]) -> Option<f64> {
    devices.iter().filter_map(|devices| devices.power_w_idle).collect::<Moments>().mean()
}

fn gpus(figures: &mut Figures, trials: &[Devices]) {
    let mut uuids: Vec<&String> = trials.iter().flat_map(|trial| trial.gpus.keys()).collect();
    uuids.sort();
    uuids.dedup();
    let mut all = Seen::default();
    for uuid in uuids {
        let mut one = Seen::default();
        for gpu in trials.iter().filter_map(|trial| trial.gpus.get(uuid)) {
            one.add(gpu);
            all.add(gpu);
        }
        one.set(figures, &|metric| metric.of(uuid));
    }
    all.set(figures, &MetricKey::from);
    if let Some(power) = trials.iter().filter_map(|trial| trial.power_w_max).reduce(f64::max) {
        figures.set(
            MetricId::PowerMax,
            power,
            trials.len() as u64,
            "highest sample of all GPUs together",
        );
    }
}

/// Samples of one GPU, or of all, over trials.
#[derive(Default)]
struct Seen {
    utilisation_pct: Sampled,
    memory_bytes: Sampled,
    temperature_c: Sampled,
}

/// Samples of one thing: their sum, how many, and the highest.
#[derive(Default)]
struct Sampled {
    sum: f64,
    n: u64,
    max: Option<f64>,
}

impl Sampled {
    fn add(&mut self, samples: &Moments) {
        self.sum += samples.mean().unwrap_or(0.0) * samples.n() as f64;
        self.n += samples.n();
        self.max = higher(self.max, samples.max());
    }
}

impl Seen {
    fn add(&mut self, gpu: &GpuFigures) {
        self.utilisation_pct.add(&gpu.utilisation_pct);
        self.memory_bytes.add(&gpu.memory_bytes);
        self.temperature_c.add(&gpu.temperature_c);
    }

    fn set(&self, figures: &mut Figures, key: &dyn Fn(MetricId) -> MetricKey) {
        let mut set = |of: &Sampled, mean, max, unit: f64| {
            let Some(highest) = of.max else { return };
            let all = of.sum / of.n as f64 / unit;
            figures.set(key(mean), all, of.n, "mean of samples in the window");
            figures.set(key(max), highest / unit, of.n, "highest sample in the window");
        };
        set(&self.utilisation_pct, MetricId::GpuUtilisation, MetricId::GpuUtilisationMax, 1.0);
        let (mean, max) = (MetricId::GpuMemoryMean, MetricId::GpuMemoryMax);
        set(&self.memory_bytes, mean, max, BYTES_PER_GIB);
        set(&self.temperature_c, MetricId::TemperatureMean, MetricId::TemperatureMax, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metrics::totals::Inside;

    fn devices(window_j: Result<f64, String>) -> Devices {
        let mut gpu = GpuFigures::default();
        for (pct, bytes) in [(80.0, BYTES_PER_GIB), (100.0, 3.0 * BYTES_PER_GIB)] {
            gpu.utilisation_pct.push(pct);
            gpu.memory_bytes.push(bytes);
        }
        Devices {
            energy_window_j: window_j.clone(),
            energy_whole_j: window_j.map(|joules| joules * 2.0),
            coverage: Some(0.99),
            counter_still_s: 0.0,
            power_w_max: Some(300.0),
            power_w_idle: Some(60.0),
            gpus: BTreeMap::from([("a".to_owned(), gpu)]),
        }
    }

    fn found(devices: &[Devices], n_correct: Option<u64>) -> Figures {
        let trial = Totals {
            window_secs: 10.0,
            whole_secs: 20.0,
            n_ok: 50,
            inside: Inside { output_tokens: 500.0, ..Inside::default() },
            ..Totals::default()
        };
        let trials = vec![trial; devices.len()];
        let mut found = Figures::default();
        let use_of =
            Use { devices, trials: &trials, n_correct, has_slo: false, gpu_hours_price: Some(3.6) };
        figures(&mut found, &use_of);
        found
    }

    #[test]
    fn energy_is_told_per_token_request_and_correct_answer() {
        let found = found(&[devices(Ok(1_000.0)), devices(Ok(1_000.0))], Some(40));
        assert_eq!(found.value(MetricId::EnergyPerToken), Some(2.0));
        assert_eq!(found.value(MetricId::PowerMean), Some(100.0));
        assert_eq!(found.value(MetricId::EnergyPerGoodRequest), Some(40.0));
        assert_eq!(found.value(MetricId::EnergyPerCorrectAnswer), Some(100.0));
        assert_eq!(found.value(MetricId::CorrectPerS), Some(1.0));
        // 40 s at 3.6 an hour are 0.04, over 40 answers.
        assert!((found.value(MetricId::CostPerCorrectAnswer).unwrap() - 0.001).abs() < 1e-9);
        assert_eq!(found.by_key[&MetricId::GpuUtilisation.of("a")].value, Some(90.0));
        assert_eq!(found.value(MetricId::GpuUtilisationMax), Some(100.0));
        assert_eq!(found.value(MetricId::GpuMemoryMean), Some(2.0));
        assert_eq!(found.value(MetricId::GpuMemoryMax), Some(3.0));
        assert_eq!(found.value(MetricId::TemperatureMean), None, "it was not sampled");
        assert_eq!(found.by_key[&MetricId::Energy.into()].note, "samples cover 99 %; idle 60 W");
    }

    #[test]
    fn one_trial_without_energy_leaves_all_of_it_absent() {
        let found = found(&[devices(Ok(1.0)), devices(Err("GPU lost".to_owned()))], None);
        let figure = &found.by_key[&MetricId::EnergyPerToken.into()];
        assert_eq!((figure.value, &*figure.note), (None, "GPU lost"));
        assert_eq!(found.value(MetricId::EnergyPerCorrectAnswer), None);
    }

    #[test]
    fn no_correct_answer_has_no_energy_of_its_own() {
        let found = found(&[devices(Ok(1.0))], Some(0));
        assert_eq!(
            found.by_key[&MetricId::EnergyPerCorrectAnswer.into()].note,
            "no correct answer"
        );
    }
}
