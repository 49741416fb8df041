//! The plan as a person reads it: every command as one would type it, every cell, every skip.

use std::collections::BTreeMap;

use crate::ids::LaunchId;
use crate::plan::Plan;
use crate::plan::cell::{ArrivalsPlan, Cell, OutputLength, Phase, RampShape, RequestPlan, Until};
use crate::plan::estimate::{LeastTime, least_time};
use crate::plan::launch::{Launch, PORT, Requires};
use crate::plan::sweeps::ends_first;
use crate::record::trial::PhaseKind;
use crate::units::Nanos;

/// Ends of sweeps that are named in the order under a budget.
const ORDER_MAX: usize = 12;

/// Reasons for which engines cannot run on this machine, as the caller found them.
pub type Skips = BTreeMap<LaunchId, String>;

/// Returns what `bench plan` prints.
pub fn render(plan: &Plan, skips: &Skips) -> String {
    let order = plan.order.word();
    let mut lines = vec![
        plan.title.clone(),
        format!(
            "{}, {}; seed {}, order {order}, report {}",
            counted(plan.cells.len(), "cell"),
            counted(plan.launches.len(), "engine launch"),
            plan.seed.0,
            plan.report,
        ),
    ];
    lines.extend(time_line(plan));
    let mut cells: BTreeMap<&LaunchId, Vec<&Cell>> = BTreeMap::new();
    for cell in &plan.cells {
        cells.entry(&cell.launch).or_default().push(cell);
    }
    for (id, launch) in &plan.launches {
        lines.push(String::new());
        lines.extend(render_launch(id, launch));
        lines.extend(skips.get(id).map(|reason| format!("  skipped   {reason}")));
        let cells = cells.get(id).map_or(&[][..], Vec::as_slice);
        lines.extend(plan.budget.and_then(|_| order_line(cells)));
        for cell in cells {
            lines.extend(render_cell(cell, plan));
        }
    }
    if let Some(clients) = &plan.clients {
        lines.push(String::new());
        lines.push("load shared by this process and".to_owned());
        lines.extend(clients.commands.iter().map(|words| format!("  $ {} bench", words.join(" "))));
    }
    if let Some(search) = &plan.search {
        let over = search.over.word();
        lines.push(String::new());
        lines.push(format!(
            "search    the highest {over} from {} to {} with {} % of requests good, in at most {}",
            search.from,
            search.to,
            search.goodput * 100.0,
            counted(search.max_points as usize, "point"),
        ));
    }
    let is_skipped = |cell: &&Cell| cell.skip.is_some() || skips.contains_key(&cell.launch);
    let n_skipped = plan.cells.iter().filter(is_skipped).count();
    if n_skipped > 0 {
        lines.push(String::new());
        lines.push(format!("{} cannot run here", counted(n_skipped, "cell")));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Says how long the run takes, as far as that is known before an engine has answered.
fn time_line(plan: &Plan) -> Option<String> {
    let LeastTime { bounded, on_gpus, n_open } = least_time(plan);
    let cells = counted(plan.cells.len(), "cell");
    let open = match n_open {
        0 => String::new(),
        n => format!("; in {n} of {cells} the engine decides"),
    };
    let budget = plan.budget.map(|budget| format!("; budget {budget}")).unwrap_or_default();
    let price = plan.gpu_hour_price.filter(|_| on_gpus > Nanos::ZERO).map(|price| {
        let hours = on_gpus.as_secs_f64() / 3600.0;
        format!("; {:.2} for {hours:.2} GPU-hours of that", hours * price)
    });
    let price = price.unwrap_or_default();
    let time = match bounded {
        Nanos::ZERO if budget.is_empty() => return None,
        Nanos::ZERO => "as long as the engines take".to_owned(),
        bounded => format!("at least {bounded} of load{open}"),
    };
    Some(format!("time: {time}{price}{budget}"))
}

/// Says in which order a budget has the cells of an engine measured.
fn order_line(cells: &[&Cell]) -> Option<String> {
    let (ends, between) = ends_first(cells.iter().copied());
    let engine = |key: &str| key.starts_with("engine");
    let named = |cell: &&Cell| {
        let keys = cell.keys.iter().filter(|(key, _)| !engine(key));
        keys.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    };
    let first: Vec<String> = ends.iter().take(ORDER_MAX).map(named).collect();
    let more = match ends.len().saturating_sub(ORDER_MAX) {
        0 => String::new(),
        n => format!(" and {n} more ends of sweeps"),
    };
    let then = match between.len() {
        0 => String::new(),
        n => format!("; then {}, each between neighbours that differ most", counted(n, "cell")),
    };
    (cells.len() > 1).then(|| format!("  order     {}{more}{then}", first.join(", then ")))
}

fn render_launch(id: &LaunchId, launch: &Launch) -> Vec<String> {
    let precision = launch.precision.as_ref().map(|p| format!(" in {p}")).unwrap_or_default();
    let ready = [launch.readiness.health.as_deref(), launch.readiness.models.as_deref()];
    let ready: Vec<&str> = ready.into_iter().flatten().chain(["one token"]).collect();
    let mut lines = vec![
        format!("engine {}{precision}  ({id}, preset {})", launch.engine, launch.preset),
        if launch.is_started() {
            format!("  $ {}", command(launch))
        } else {
            format!("  attach to {}", launch.base_url)
        },
        format!("  ready     {}, within {}", ready.join(", "), launch.readiness.timeout),
    ];
    for requirement in &launch.requires {
        let what = match &requirement.what {
            Requires::Program(program) => format!("the program {program}"),
            Requires::Gpus(n) => counted(*n as usize, "GPU"),
            Requires::ComputeCapability(capability) => format!("compute capability {capability}"),
            Requires::Path(path) => path.display().to_string(),
            Requires::PythonModule { python, module } => format!("module {module} of {python}"),
            Requires::Env(name) => format!("${name}"),
        };
        lines.push(format!("  requires  {what} ({})", requirement.hint));
    }
    lines
}

/// Returns environment and argv as a shell would take them, with `$PORT` open.
pub fn command(launch: &Launch) -> String {
    let env = launch.env.iter().map(|(name, value)| format!("{name}={}", with_port(value)));
    let secrets = launch.env_from.iter().map(|(name, from)| format!("{name}=\"${from}\""));
    let argv = launch.argv.iter().map(|arg| with_port(arg));
    env.chain(secrets).chain(argv).collect::<Vec<_>>().join(" ")
}

/// Quotes an argument as a POSIX shell needs it, so that a printed command can be pasted.
///
/// Written here because `shlex` quotes every `=`, and nearly every argument has one.
pub fn shell_word(arg: &str) -> String {
    if is_bare(arg) { arg.to_owned() } else { format!("'{}'", arg.replace('\'', r"'\''")) }
}

/// Quotes an argument but for `$PORT`, which stays open.
fn with_port(arg: &str) -> String {
    if is_bare(&arg.replace(PORT, "0")) { arg.to_owned() } else { shell_word(arg) }
}

/// Whether a shell takes an argument as it is.
fn is_bare(arg: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    !arg.is_empty() && arg.chars().all(is_plain)
}

fn render_cell(cell: &Cell, plan: &Plan) -> Vec<String> {
    let trials = counted(cell.n_trials as usize, "trial");
    let mut lines = vec![
        format!("  cell {}  ({}, {trials})", cell.name, cell.id),
        format!("    requests  {}", request(&cell.request, &cell.dataset)),
    ];
    lines.extend(cell.phases.iter().map(|phase| format!("    {}", phase_line(phase))));
    let tokens = output_tokens_at_most(cell, plan);
    lines.extend(tokens.map(|n| format!("    tokens    at most {n} generated in all trials")));
    lines.extend(cell.score.as_ref().map(|score| format!("    score     {score}")));
    lines.extend(cell.skip.as_ref().map(|reason| format!("    skipped   {reason}")));
    lines
}

fn request(request: &RequestPlan, dataset: &str) -> String {
    let api = request.api.word();
    let output = match request.output {
        OutputLength::Natural { max_tokens } => format!("at most {max_tokens} tokens"),
        OutputLength::Fixed { tokens } => format!("exactly {tokens} tokens"),
        OutputLength::FromData => "as long as the data's answers".to_string(),
    };
    let stream = if request.stream { "streamed" } else { "whole" };
    let salt = if request.salt { ", salted" } else { "" };
    format!(
        "{dataset} by {api} ({}), {output}, {stream}, temperature {}{salt}",
        request.path, request.sampling.temperature
    )
}

fn phase_line(phase: &Phase) -> String {
    let kind = match phase.kind {
        PhaseKind::WarmUp => "warm-up ",
        PhaseKind::Measure => "measure ",
    };
    let load = match &phase.arrivals {
        ArrivalsPlan::Closed { concurrency } => counted(*concurrency as usize, "stream"),
        ArrivalsPlan::Constant { rate_per_s } => format!("{rate_per_s}/s, evenly spaced"),
        ArrivalsPlan::Poisson { rate_per_s } => format!("{rate_per_s}/s, Poisson"),
        ArrivalsPlan::Gamma { rate_per_s, burstiness } => {
            format!("{rate_per_s}/s, gamma with burstiness {burstiness}")
        }
        ArrivalsPlan::Ramp { from_per_s, to_per_s, shape } => {
            let shape = match shape {
                RampShape::Linear => "linearly",
                RampShape::Exponential => "exponentially",
            };
            format!("{from_per_s}/s to {to_per_s}/s, {shape}")
        }
        ArrivalsPlan::Trace { speedup } => format!("the data's time stamps at speed {speedup}"),
        ArrivalsPlan::Batch { size } => format!("batches of {size}"),
        ArrivalsPlan::AllAtOnce => "all at once".to_string(),
    };
    let end = match (phase.n_requests, phase.duration) {
        (Some(n), None) => counted(n as usize, "request"),
        (None, Some(duration)) => format!("for {duration}"),
        (Some(n), Some(duration)) => {
            format!("{} or {duration}, whichever is first", counted(n as usize, "request"))
        }
        (None, None) => "every row".to_string(),
    };
    let cap = phase.max_in_flight.map(|n| format!(", at most {n} in flight")).unwrap_or_default();
    let steady = phase
        .until_steady
        .map(|steady| format!(", until steady or {}", counted(steady.max_rounds as usize, "round")))
        .unwrap_or_default();
    let until = phase.until.as_ref().map(Until::words).unwrap_or_default();
    let saturated = phase.over_saturation.map_or("", |_| ", or until over-saturated");
    format!("{kind}  {}: {load}, {end}{cap}{steady}{until}{saturated}", phase.name)
}

/// Returns the most tokens that all trials can generate, where counts and lengths are known.
fn output_tokens_at_most(cell: &Cell, plan: &Plan) -> Option<u64> {
    let dataset = plan.datasets.get(&cell.dataset)?;
    let per_request = match cell.request.output {
        OutputLength::Natural { max_tokens } => max_tokens,
        OutputLength::Fixed { tokens } => tokens,
        OutputLength::FromData => dataset.output_tokens?.max,
    };
    let mut n_requests = 0_u64;
    for phase in &cell.phases {
        let all_rows = phase.duration.is_none().then_some(dataset.limit).flatten();
        let rounds = phase.until_steady.map_or(1, |steady| steady.max_rounds);
        n_requests += phase.n_requests.or(all_rows)? * u64::from(rounds);
    }
    Some(n_requests * u64::from(per_request) * u64::from(cell.n_trials))
}

fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        _ if what.ends_with("ch") => format!("{n} {what}es"),
        _ => format!("{n} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_as_a_shell_wants_them() {
        let check = |arg: &str, expected: &str| assert_eq!(with_port(arg), expected);
        check("--port", "--port");
        check("$PORT", "$PORT");
        check("127.0.0.1:$PORT", "127.0.0.1:$PORT");
        check("$HOME", "'$HOME'");
        check("", "''");
        check("; touch pwned", "'; touch pwned'");
        check("it's", "'it'\\''s'");
        check("{\"a\":1}", "'{\"a\":1}'");
    }
}
