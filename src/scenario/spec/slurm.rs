//! `[slurm]`.

use serde::{Deserialize, Serialize};

use crate::scenario::grammar::Kind::Integer;
use crate::scenario::grammar::table;
use crate::scenario::spec::ONE_UP;
use crate::units::Nanos;

table! {
    /// `[slurm]`: what `bench run --slurm` asks Slurm for. No part of any cell's identity.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(crate) struct SlurmSpec {
        /// Partition.
        pub(crate) partition: Option<String>,
        /// Account that is charged.
        pub(crate) account: Option<String>,
        /// Quality of service.
        pub(crate) qos: Option<String>,
        /// Features that nodes must have.
        pub(crate) constraint: Option<String>,
        /// Time limit of each task; the partition's own when absent.
        pub(crate) time: Option<Nanos>,
        /// GPUs of each task; as many as its engine is spread over when absent.
        pub(crate) gpus: Option<u32> = Integer(0, 10_000),
        /// Generic resources instead of `gpus`; `{{ gpus }}` stands for their number.
        pub(crate) gres: Option<String>,
        /// Nodes of each task.
        pub(crate) nodes: Option<u32> = ONE_UP,
        /// CPU cores of each task.
        pub(crate) cpus: Option<u32> = ONE_UP,
        /// Memory of each node.
        pub(crate) memory: Option<String>,
        /// Tasks that run at once, at most.
        pub(crate) max_jobs: Option<u32> = ONE_UP,
        /// Time before the limit at which a task ends in order and queues again.
        pub(crate) end_before: Nanos,
        /// Lines of shell before the measurement: modules, environments.
        pub(crate) setup [default]: Vec<String>,
        /// Command in front of bench, such as that of a container.
        pub(crate) container [default]: Vec<String>,
        /// Names of variables that tasks get from the submitting environment; all when empty.
        pub(crate) export [default]: Vec<String>,
        /// Further arguments of `sbatch`.
        pub(crate) extra [default]: Vec<String>,
        /// File of a script template that replaces the program's.
        pub(crate) template: Option<String>,
    }
}
