//! `bench compare`: runs, results of other tools, or the alternatives of one run, against a baseline.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::analysis::compared::{ComparedRun, paired_accuracy};
use crate::analysis::rescore::RescoreError;
use crate::analysis::subject::{self, SubjectError, differences};
use crate::cli::args::{Colour, CompareArgs, CompareFormat};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::{gate_flags, output};
use crate::importers::Lengths;
use crate::metrics::compare::{
    Comparison, Rules, Side, compare, gates, is_main, is_of_whole_run, not_shown,
};
use crate::metrics::condition::Subject;
use crate::metrics::quantity::Quantity;
use crate::report::compare::{ComparisonView, json, junit, markdown, terminal};
use crate::store::error::StoreError;

/// Names of runs in a comparison; what each stands for is told above the table.
const LETTERS: [&str; 26] = [
    "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S",
    "T", "U", "V", "W", "X", "Y", "Z",
];

/// Compares, and prints what was found.
pub(crate) fn compare_runs(args: &CompareArgs, colour: Colour) -> Result<Exit, Failure> {
    compare_as(args, &[], colour)
}

/// Compares runs of which `words` say what they are to the user, and prints what was found.
pub(crate) fn compare_as(
    args: &CompareArgs,
    words: &[&str],
    colour: Colour,
) -> Result<Exit, Failure> {
    let mut lengths = Lengths::default();
    let subjects = args.dirs.iter().map(|path| opened(path, &mut lengths));
    let subjects = subjects.collect::<Result<Vec<_>, _>>()?;
    subjects.iter().filter_map(subject::Subject::run).for_each(tell_open);
    let (sides, subjects, told) = match subjects.as_slice() {
        [subject] => by_key(subject, args.by.as_deref())?,
        _ if args.by.is_some() => {
            return Err(usage("--by compares the cells of one run; name one directory"));
        }
        subjects if subjects.len() > LETTERS.len() => {
            return Err(usage(&format!("at most {} runs can be compared at once", LETTERS.len())));
        }
        subjects => by_subject(subjects, &args.dirs, words),
    };
    let comparison = compared(args, &sides, &subjects)?;
    let view = || ComparisonView::new(&comparison, &told);
    let text = match args.format {
        CompareFormat::Terminal => {
            let (width, is_coloured) = output::stdout_form(colour);
            terminal::render(&view(), width, is_coloured)
        }
        CompareFormat::Markdown => markdown::render(&view(), args.all),
        CompareFormat::Json => json::render(&comparison),
        CompareFormat::Junit => junit::render(&comparison),
    };
    output::data(&text)?;
    Ok(gate_flags::exit(&comparison.gates))
}

fn opened(path: &Path, lengths: &mut Lengths) -> Result<subject::Subject, Failure> {
    subject::Subject::open(path, lengths).map_err(|error| match error {
        SubjectError::Run(error) => unread(path, error),
        SubjectError::File { .. } => Failure::input(error.to_string()),
        SubjectError::Import { .. } => Failure::new(Exit::BadData, error.to_string()).help(
            "give what the tool saves: --save-result of vllm bench serve, --output-file of SGLang, \
             kind=json of GuideLLM, profile_export_aiperf.json, `llama-bench -o json`, lm_eval's \
             results_….json; or a run directory",
        ),
    })
}

/// Says that a run did not come to its end, where it did not.
pub(crate) fn tell_open(run: &ComparedRun) {
    if !run.summary.complete {
        output::message(&format!(
            "note: {} did not come to its end; what it has not measured is missing",
            run.dir().display()
        ));
    }
}

/// Opens a run directory by its summary.
pub(crate) fn opened_run(dir: &Path) -> Result<ComparedRun, Failure> {
    ComparedRun::open(dir).map_err(|error| unread(dir, error))
}

/// Says why a run cannot be read, and what would mend it.
pub(crate) fn unread(dir: &Path, error: StoreError) -> Failure {
    match &error {
        StoreError::Missing { path, .. } if path.ends_with("summary.json") => {
            let report = format!("`bench report {}` writes it", dir.display());
            Failure::from(error).help(report)
        }
        _ => Failure::from(error),
    }
}

/// Sides, the subject of each, and what each stands for.
type Sides<'r> = (Vec<Side<'r>>, Vec<&'r subject::Subject>, Vec<String>);

fn by_subject<'r>(
    subjects: &'r [subject::Subject],
    paths: &[PathBuf],
    words: &[&str],
) -> Sides<'r> {
    let sides = subjects.iter().zip(LETTERS).map(|(it, name)| it.side(name.to_owned()));
    let told = paths.iter().enumerate().map(|(at, path)| match words.get(at) {
        Some(word) => format!("{word}: {}", path.display()),
        None => path.display().to_string(),
    });
    (sides.collect(), subjects.iter().collect(), told.collect())
}

fn by_key<'r>(subject: &'r subject::Subject, by: Option<&str>) -> Result<Sides<'r>, Failure> {
    let Some(run) = subject.run() else {
        return Err(usage("results of another tool are compared with something: name two"));
    };
    let alternatives = run.alternatives();
    let known = || match alternatives.as_slice() {
        [] => "this run has one alternative; name two runs".to_owned(),
        keys => format!("keys of this run: {}", keys.join(", ")),
    };
    let key = match by {
        Some(key) if alternatives.iter().any(|known| known == key) => key,
        Some(key) if run.is_load(key) => {
            let message =
                format!("`{key}` is the load, and loads are not compared with each other");
            return Err(usage(&message).help(known()));
        }
        Some(key) => {
            let message = format!("no cells of {} differ in `{key}`", run.dir().display());
            return Err(usage(&message).help(known()));
        }
        None => match alternatives.as_slice() {
            keys if keys.iter().any(|key| key == "engine") => "engine",
            [key] => key,
            _ => {
                let message = format!("what of {} is to be compared?", run.dir().display());
                return Err(usage(&message).help(format!("name a key with --by; {}", known())));
            }
        },
    };
    let sides = run.sides_by(key);
    let told = sides.iter().map(|side| side.name.clone()).collect();
    let subjects = vec![subject; sides.len()];
    Ok((sides, subjects, told))
}

fn usage(message: &str) -> Failure {
    Failure::new(Exit::Usage, message).help("see `bench compare --help`")
}

fn compared(
    args: &CompareArgs,
    sides: &[Side<'_>],
    subjects: &[&subject::Subject],
) -> Result<Comparison, Failure> {
    // The baseline's scenario says how it is to be judged; the command line has the last word.
    let asked = Rules::of(subjects[0].run().and_then(|run| run.plan.compare));
    let rules = Rules {
        alpha: args.alpha.unwrap_or(asked.alpha),
        margin: args.margin.unwrap_or(asked.margin),
    };
    let failed: RefCell<Option<RescoreError>> = RefCell::new(None);
    let pair_items = |side: usize, cell: &str, other: &str| {
        let (one, another) = (subjects[0].run()?, subjects[side].run()?);
        paired_accuracy((one, cell), (another, other)).unwrap_or_else(|error| {
            failed.borrow_mut().get_or_insert(error);
            None
        })
    };
    let gated = args.fail_if.iter().filter_map(|text| match gates::relative(text)?.subject {
        Subject::Quantity(quantity) => Some(quantity),
        // All accuracies are one row.
        Subject::AccuracyBy(_) => None,
    });
    let gated: Vec<Quantity> = gated.collect();
    // What another tool tells is compared, also where runs have something better.
    let is_asked = |it: &Quantity| {
        let of_runs = is_main(it) || (args.all && !is_of_whole_run(it));
        of_runs || gated.contains(it) || subjects.iter().any(|subject| subject.tells(it))
    };
    let mut comparison = compare(sides, &is_asked, &pair_items, rules);
    comparison.gates = gates::judge(&comparison, sides, &args.fail_if, args.undecided.into());
    if let Some(error) = failed.into_inner() {
        return Err(Failure::from(error));
    }
    comparison.not_shown = not_shown(&comparison, sides, &is_asked);
    comparison.differences = differences(&comparison, subjects)?;
    let left_out = (0..).zip(subjects).flat_map(|(side, subject)| subject.left_out(side));
    comparison.left_out = left_out.collect();
    Ok(comparison)
}
