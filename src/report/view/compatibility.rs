//! Devices that are too old for an engine of the plan.

use crate::plan::Plan;
use crate::plan::launch::Requires;
use crate::record::environment::Environment;
use crate::report::untrusted;

/// Says of each GPU below what an engine requires that it is, once per engine and GPU.
pub(crate) fn alerts(plan: &Plan, environment: &Environment) -> Vec<String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let mut alerts = Vec::new();
    for launch in plan.launches.values() {
        for requirement in &launch.requires {
            let Requires::ComputeCapability(least) = &requirement.what else { continue };
            for gpu in &environment.gpus {
                let Some(has) = gpu.compute_capability.as_deref() else { continue };
                if number(has) >= number(least) {
                    continue;
                }
                let alert = untrusted::line(&format!(
                    "GPU {} ({}, compute capability {has}) is below the {least} that {} needs: {}",
                    gpu.index, gpu.name, launch.engine, requirement.hint
                ));
                if !alerts.contains(&alert) {
                    alerts.push(alert);
                }
            }
        }
    }
    alerts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LaunchId;
    use crate::metrics::tests::fixture::plan;
    use crate::plan::launch::{Launch, Requirement};
    use crate::record::environment::GpuFacts;

    #[test]
    fn a_device_that_is_too_old_is_told_once_and_one_that_is_new_enough_is_not() {
        let mut plan = plan(&["a", "b"]);
        let launch = Launch {
            engine: "compile".to_owned(),
            requires: vec![Requirement {
                what: Requires::ComputeCapability("7.0".to_owned()),
                hint: "Triton compiles for 7.0 and later".to_owned(),
            }],
            ..Launch::default()
        };
        // Two batch sizes are two launches of one engine.
        plan.launches = ["a", "b"].map(|id| (LaunchId(id.to_owned()), launch.clone())).into();
        let gpu = |index, name: &str, capability: &str| GpuFacts {
            index,
            name: name.to_owned(),
            compute_capability: Some(capability.to_owned()),
            ..GpuFacts::default()
        };
        let gpus = vec![gpu(0, "GTX 1080", "6.1"), gpu(1, "RTX 3090", "8.6"), gpu(2, "B", "10.0")];
        let environment = Environment { gpus, ..Environment::default() };
        assert_eq!(
            alerts(&plan, &environment),
            ["GPU 0 (GTX 1080, compute capability 6.1) is below the 7.0 that compile needs: \
                 Triton compiles for 7.0 and later"]
        );
    }
}
