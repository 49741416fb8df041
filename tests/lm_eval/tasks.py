"""Asks and grades as lm-evaluation-harness's own tasks do, item by item.

`prompts.jsonl` holds lines of {task, row, examples, subject}: written out with the task's own
templates and delimiters. `answers.jsonl` holds lines of {task, output, gold}: what the task's own
filter or process_results makes of them.
"""

import importlib.util
import json
import sys
from pathlib import Path

import lm_eval
import yaml
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import exact_match_fn
from lm_eval.filters import build_filter_ensemble
from lm_eval.utils import apply_template

tasks = Path(lm_eval.__file__).parent / "tasks"
FILES = {
    "mmlu": "mmlu/generative/_default_template_yaml",
    "mmlu-pro": "mmlu_pro/_default_template_yaml",
    "arc-challenge": "arc/arc_challenge_chat.yaml",
    "math-500": "hendrycks_math/hendrycks_math_algebra.yaml",
    "aime": "aime/aime24.yaml",
}
SUBJECTS = {"mmlu": "mmlu/generative/mmlu_{}.yaml", "mmlu-pro": "mmlu_pro/mmlu_pro_{}.yaml"}


def function(task, name):
    """A function of the file beside the task, without the data sets that others in it load."""
    path = tasks / Path(FILES[task]).parent / "utils.py"
    sys.modules.setdefault("datasets", type(sys)("datasets")).Dataset = None
    spec = importlib.util.spec_from_file_location("utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name.removeprefix("utils."))


class Loader(yaml.SafeLoader):
    """Reads `!function utils.x` as its name."""


Loader.add_constructor("!function", lambda loader, node: ("function", node.value))


def config(file):
    return yaml.load((tasks / file).read_text(), Loader)


def written(task, form, row):
    if isinstance(form, tuple):
        return function(task, form[1])(row)
    return apply_template(form, row) if "{{" in form else str(row[form])


def prompt(line):
    task, own = line["task"], config(FILES[line["task"]])
    description = ""
    if line.get("subject"):
        description = config(SUBJECTS[task].format(line["subject"]))["description"]
    shots = own.get("fewshot_config", {})
    text = description
    for example in line["examples"]:
        asked = written(task, shots.get("doc_to_text", own["doc_to_text"]), example)
        answer = written(task, shots.get("doc_to_target", own["doc_to_target"]), example)
        if own.get("gen_prefix"):
            answer = own["gen_prefix"] + " " + answer
        text += asked + own.get("target_delimiter", " ") + answer
        text += own.get("fewshot_delimiter", "\n\n")
    gold = written(task, own["doc_to_target"], line["row"])
    return {"prompt": text + written(task, own["doc_to_text"], line["row"]), "gold": gold}


def graded(line):
    task, own = line["task"], config(FILES[line["task"]])
    if "process_results" in own:
        doc = {"answer": line["gold"], "solution": "\\boxed{" + line["gold"] + "}"}
        results = function(task, own["process_results"][1])(doc, [line["output"]])
        return {"right": bool(results["exact_match"])}
    (metric,) = own["metric_list"]
    options = {key: metric[key] for key in ("ignore_case", "ignore_punctuation")}
    instance = Instance("generate_until", line, ("", {}), 0, resps=[line["output"]])
    (spec,) = own["filter_list"]
    steps = [
        (step["function"], {key: value for key, value in step.items() if key != "function"})
        for step in spec["filter"]
    ]
    build_filter_ensemble(spec["name"], steps).apply([instance])
    answer = instance.filtered_resps[spec["name"]]
    score = exact_match_fn(predictions=[answer], references=[line["gold"]], **options)
    return {"right": bool(score["exact_match"])}


does = {"prompts": prompt, "answers": graded}[sys.argv[1]]
with open(sys.argv[2], encoding="utf-8") as file:
    for line in file:
        print(json.dumps(does(json.loads(line))))
