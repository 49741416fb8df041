//! Doubts about who else was there.

use indicatif::BinaryBytes;

use crate::metrics::catalogue::MetricId;
use crate::metrics::caveats::{Case, caveat};
use crate::metrics::summary::Caveat;

pub(super) fn foreign_processes(case: &Case<'_>) -> Option<Caveat> {
    let first = case.evidence.foreign_gpu_processes.first()?;
    let n = case.evidence.foreign_gpu_processes.len();
    let what = format!("foreign processes on the GPUs: {n}, such as {first}");
    Some(caveat("foreign-gpu-processes", what, "Free the GPUs and run again.", &[]))
}

pub(super) fn busy_engine(case: &Case<'_>) -> Option<Caveat> {
    let n = case.evidence.n_busy;
    (n > 0).then(|| {
        let what = format!(
            "the engine had open requests before or after {n} of {} trials",
            case.evidence.n_trials
        );
        let advice =
            "Others use it too, or it does not end what is cancelled: its figures are shared.";
        caveat(
            "engine-busy",
            what,
            advice,
            &[MetricId::OutputThroughput, MetricId::Ttft, MetricId::E2e],
        )
    })
}

pub(super) fn beside_engines(case: &Case<'_>) -> Option<Caveat> {
    let (engines, n) = &case.evidence.beside;
    (*n > 0).then(|| {
        let names = engines.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let of = case.evidence.n_trials;
        let what = format!("{n} of {of} trials were measured beside other engines: {names}");
        let advice = "They shared CPUs, memory, disk and power of this machine: leave `parallel` \
                      out where latencies or load times are compared.";
        let metrics = [MetricId::OutputThroughput, MetricId::Ttft, MetricId::Tpot, MetricId::E2e];
        caveat("beside-engines", what, advice, &metrics)
    })
}

pub(super) fn hidden_engine(case: &Case<'_>) -> Option<Caveat> {
    let why = case.evidence.hidden_engine.as_ref()?;
    let what = format!("the engine's processes cannot be seen: {why}");
    let advice = "Its CPU and memory are unknown, and so is what other programs used: run bench as \
                  the engine's user, or as root.";
    Some(caveat("engine-hidden", what, advice, &[MetricId::EngineCpu]))
}

pub(super) fn survivors(case: &Case<'_>) -> Option<Caveat> {
    let mut left: Vec<String> = case.evidence.survivors.iter().cloned().collect();
    if case.evidence.memory_left_bytes > 0 {
        left.push(format!("{} of device memory", BinaryBytes(case.evidence.memory_left_bytes)));
    }
    (!left.is_empty()).then(|| {
        let what = format!("the engine's stop left behind: {}", left.join(", "));
        caveat("survivors", what, "Run `bench doctor --reap`; later cells were not alone.", &[])
    })
}
