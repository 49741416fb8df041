//! Whole scripts: a scenario in, what `sbatch` is given out.

use std::path::{Path, PathBuf};

use crate::plan::Plan;
use crate::plan::expand::expand;
use crate::plan::paths::Host;
use crate::plan::phases::extract;
use crate::plan::share::Share;
use crate::scenario::spec::SlurmSpec;
use crate::scenario::{Input, load};
use crate::slurm::script::{Array, TEMPLATE, render};
use crate::slurm::share::{arrays, shares};

const ENGINES: &str = r#"
[engine.a]
preset = "sim"
[engine.b]
preset = "sim"
stop-grace = "90s"
[engine.vllm]
model = "org/name"
[matrix]
concurrency = [1, 2]
"engine.vllm.tensor-parallel" = [1, 2]
[dataset.d]
source = "random"
input-words = 8
[phase.load]
requests = 8
"#;

fn planned(text: &str) -> (Plan, SlurmSpec) {
    let loaded = load(&Input {
        path: Path::new("/home/me/sweep.toml"),
        text,
        read: &|_| Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        env: &[],
        sets: &[],
        profile: None,
        user_preset_dirs: &[] as &[PathBuf],
    });
    let scenario = loaded.map_err(|found| found.render(false)).unwrap().scenario;
    let host = Host { bench_exe: "/opt/bench".into(), assets_dir: "assets".into() };
    let plan = expand(&scenario, &host).unwrap().0;
    let mut found = crate::diagnostic::Diagnostics::default();
    let settings = extract(&scenario, &scenario.tree, &["slurm"], &mut found).unwrap();
    (plan, settings)
}

fn array<'a>(shares: &'a [&'a Share], n_gpus: u32) -> Array<'a> {
    Array {
        id: "3f9a2c1b",
        title: "Two\nlines",
        dir: Path::new("/shared/my sweep 100%"),
        cwd: Path::new("/home/me"),
        bench: Path::new("/opt/bench"),
        shares,
        n_gpus,
    }
}

fn script(settings: &str) -> Result<String, String> {
    let (plan, settings) = planned(&format!("{ENGINES}[slurm]\n{settings}"));
    let shares = shares(&plan);
    let (n_gpus, shares) = arrays(&settings, &shares.iter().collect::<Vec<_>>()).remove(0);
    render(TEMPLATE, &settings, &array(&shares, n_gpus)).map_err(|error| error.to_string())
}

#[test]
fn cells_that_share_an_engine_share_a_task_and_tasks_of_as_many_gpus_an_array() {
    let (plan, settings) = planned(ENGINES);
    let shares = shares(&plan);
    let told: Vec<(String, usize)> =
        shares.iter().map(|share| (share.engines.join("+"), share.plan.cells.len())).collect();
    let expected = [("a", 2), ("b", 2), ("vllm", 2), ("vllm", 2)];
    assert_eq!(told, expected.map(|(engine, n)| (engine.to_owned(), n)));
    let check = |settings: &SlurmSpec, expected: &[(u32, usize)]| {
        let arrays = arrays(settings, &shares.iter().collect::<Vec<_>>());
        let told: Vec<_> = arrays.iter().map(|(n, shares)| (*n, shares.len())).collect();
        assert_eq!(told, expected);
    };
    check(&settings, &[(0, 2), (1, 1), (2, 1)]);
    check(&SlurmSpec { gpus: Some(2), ..settings.clone() }, &[(2, 4)]);
    check(&SlurmSpec { gres: Some("gpu:a100:1".to_owned()), ..settings }, &[(0, 4)]);
    // An engine that takes longer would be killed by Slurm, and nobody would write that down.
    let slow = shares[1].plan.launches.values().next().unwrap();
    assert_eq!(slow.stop_grace, crate::units::Nanos::from_secs(20));
    assert!(shares.iter().all(|share| share.plan.check_references().is_ok()));
}

#[test]
fn engines_that_alternate_stay_on_one_machine() {
    let (plan, _) = planned(&format!("order = \"interleaved\"\ntrials = 2\n{ENGINES}"));
    let shares = shares(&plan);
    assert_eq!((shares.len(), shares[0].plan.cells.len(), shares[0].n_gpus), (1, 8, 2));
}

#[test]
fn a_budget_is_the_time_of_all_tasks_together() {
    let budgets = |order: &str| -> Vec<_> {
        let (plan, _) = planned(&format!("budget = \"8s\"\n{order}{ENGINES}"));
        shares(&plan).into_iter().map(|share| share.plan.budget).collect()
    };
    let secs = |secs| Some(crate::units::Nanos::from_secs(secs));
    assert_eq!(budgets(""), [secs(2); 4]);
    assert_eq!(budgets("order = \"interleaved\"\ntrials = 2\n"), [secs(8)]);
}

#[test]
fn the_least_that_is_said_is_a_whole_script() {
    insta::assert_snapshot!(script("").unwrap());
}

#[test]
fn everything_that_can_be_said_is_in_the_script() {
    let all = r#"
partition = "gpu,long"
account = "my project"
qos = "normal"
constraint = "h100&nvlink"
time = "26h 30m"
gres = "gpu:h100:{{ gpus }}"
gpus = 4
nodes = 1
cpus = 16
memory = "128G"
max-jobs = 3
end-before = "90s"
setup = ["module load cuda", "source \"$HOME/venv/bin/activate\""]
container = ["apptainer", "exec", "--nv", "my image.sif"]
export = ["HF_HOME", "LLM_API_KEY"]
extra = ["--exclusive"]
"#;
    insta::assert_snapshot!(script(all).unwrap());
}

#[test]
fn further_clients_get_nodes_behind_those_of_the_engine() {
    let found = script("nodes = 2\nclients = 3").unwrap();
    assert!(found.contains("#SBATCH --nodes=4\n"), "{found}");
    let (_, settings) = planned(&format!("{ENGINES}\n[slurm]\nnodes = 2\nclients = 3"));
    let clients = settings.further_clients().unwrap();
    let steps: Vec<String> = clients.commands.iter().map(|words| words.join(" ")).collect();
    let step = "srun --overlap --nodes=1 --ntasks=1 --relative";
    assert_eq!(steps, [format!("{step}=2"), format!("{step}=3")]);
    assert!(script("clients = 1").unwrap().lines().all(|line| !line.contains("--nodes")));
}

#[test]
fn a_value_cannot_begin_another_line_or_option() {
    let check = |settings: &str, expected: &str| {
        let why = script(settings).unwrap_err();
        assert!(why.contains(expected), "{settings}: {why}");
    };
    check("partition = \"a\\n#SBATCH --uid=0\"", "control character");
    check("account = 'a\" --uid=0'", "quotation mark");
    check("setup = [\"a\\nb\"]", "control character");
    check("extra = [\"rm -rf /\"]", "begins with `-`");
    check("extra = [\"-x\\n-y\"]", "control character");
    check("gres = \"gpu:{{ gpu }}\"", "gres");
    // The value of a secret is not even told.
    let why = script("export = [\"LLM_API_KEY=sk-12345\"]").unwrap_err();
    assert!(why.contains("LLM_API_KEY") && !why.contains("sk-12345"), "{why}");
}

#[test]
fn a_template_of_the_user_gets_the_same_variables() {
    let (plan, settings) = planned(ENGINES);
    let shares = shares(&plan);
    let shares: Vec<&Share> = shares.iter().take(2).collect();
    let text =
        "{{ name }} {{ options | length }} {{ shares | length }} {{ jobs | shell }} {{ bench }}";
    let script = render(text, &settings, &array(&shares, 0)).unwrap();
    assert_eq!(script, "my_sweep_100_-3f9a2c1b 9 2 '/shared/my sweep 100%/jobs' /opt/bench\n");
    let wrong = render("{{ nme }}", &settings, &array(&shares, 0)).unwrap_err().to_string();
    assert!(wrong.contains("template"), "{wrong}");
}
