//! `[slurm]`.

use serde::{Deserialize, Serialize};

use crate::scenario::grammar::Kind::Integer;
use crate::scenario::grammar::table;
use crate::scenario::spec::{ClientsSpec, ONE_UP};
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
        /// Processes that share the load of each task, each further one on a node of its own.
        pub(crate) clients: Option<u32> = Integer(1, 1_000),
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

impl SlurmSpec {
    /// Returns the nodes of each task: those that are asked for, and one for each further client.
    pub(crate) fn n_nodes(&self) -> Option<u32> {
        match self.clients {
            None | Some(1) => self.nodes,
            Some(n) => Some(self.nodes.unwrap_or(1) + n - 1),
        }
    }

    /// Returns the further clients of each task: a step on each node behind those of the engine.
    pub(crate) fn further_clients(&self) -> Option<ClientsSpec> {
        let first = self.nodes.unwrap_or(1);
        let last = self.n_nodes().filter(|_| self.clients.is_some_and(|n| n > 1))?;
        let command = |node| {
            let node = format!("--relative={node}");
            ["srun", "--overlap", "--nodes=1", "--ntasks=1", &node].map(str::to_owned).to_vec()
        };
        let commands = (first..last).map(command).collect();
        Some(ClientsSpec { commands, host: Some("%h".to_owned()) })
    }
}
