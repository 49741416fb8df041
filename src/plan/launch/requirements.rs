//! What an engine needs of the machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::diagnostic::Diagnostics;
use crate::plan::launch::engine::Starting;
use crate::plan::launch::{PARALLEL_SIZES, Requirement, Requires, SPECULATIVE};
use crate::scenario::spec::{GpusSpec, RequiresSpec, SpeculativeSpec};

impl Starting<'_> {
    /// Returns the requirements that apply to this engine in its precision.
    pub(crate) fn requires(&self, is_started: bool, found: &mut Diagnostics) -> Vec<Requirement> {
        let mut requires = Vec::new();
        for item in &self.spec.requires {
            let precision = self.spec.precision.as_ref();
            let applies = item.precision.is_empty()
                || precision.is_some_and(|precision| item.precision.contains(precision));
            if is_started && applies {
                let hint = self.render(&item.hint, "requires", found);
                let what = self.requirements(item, found);
                requires
                    .extend(what.into_iter().map(|what| Requirement { what, hint: hint.clone() }));
            }
        }
        // A variable that `env-from` names must be there, or the run is refused.
        let key = self.spec.api_key_env.as_ref();
        if let Some(env) = key.filter(|env| !self.spec.env_from.contains_key(*env)) {
            let hint = format!("export {env}=… with the key in it");
            requires.push(Requirement { what: Requires::Env(env.clone()), hint });
        }
        requires
    }

    fn requirements(&self, item: &RequiresSpec, found: &mut Diagnostics) -> Vec<Requires> {
        let mut all = Vec::new();
        let mut rendered =
            |text: &Option<String>| text.as_ref().map(|text| self.render(text, "requires", found));
        let program = rendered(&item.program);
        let path = rendered(&item.path);
        match (&item.python_module, program) {
            (Some(module), python) => all.push(Requires::PythonModule {
                python: python.unwrap_or_else(|| "python3".into()),
                module: module.clone(),
            }),
            (None, Some(program)) => all.push(Requires::Program(program)),
            (None, None) => {}
        }
        let path = path.filter(|path| !path.is_empty());
        all.extend(path.map(|path| Requires::Path(PathBuf::from(path))));
        match &item.gpus {
            Some(GpusSpec::AsSharded(true)) => all.push(Requires::Gpus(self.n_gpus())),
            Some(GpusSpec::Exactly(n)) => all.push(Requires::Gpus(*n)),
            Some(GpusSpec::AsSharded(false)) | None => {}
        }
        all.extend(item.compute_capability.clone().map(Requires::ComputeCapability));
        all.extend(item.env.clone().map(Requires::Env));
        all
    }

    /// Returns the parallel sizes and the speculative decoding by their keys, as far as they are said.
    pub(crate) fn spread(&self) -> BTreeMap<String, String> {
        let size = |key: &str| Some((key.to_owned(), self.options.get(key)?.to_string()));
        let mut spread: BTreeMap<String, String> =
            PARALLEL_SIZES.into_iter().filter_map(size).collect();
        if let Some(SpeculativeSpec::By(by)) = &self.spec.speculative {
            spread.insert(SPECULATIVE.to_owned(), format!("{}:{}", by.method, by.tokens));
        }
        spread
    }

    /// Returns tensor · pipeline · data parallel size.
    pub(crate) fn n_gpus(&self) -> u32 {
        PARALLEL_SIZES
            .iter()
            .filter_map(|key| self.options.get(*key)?.as_integer())
            .fold(1_u32, |n, size| n.saturating_mul(u32::try_from(size).unwrap_or(1)))
    }
}
