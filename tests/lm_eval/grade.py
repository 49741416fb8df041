"""Grades answers with lm-evaluation-harness's own tasks, filters and metric, item by item.

Reads lines of JSON with `output` and `gold`; writes for each one what every filter of the tasks
`gsm8k` and `gsm8k_cot` takes from it and whether the metric calls it right.
"""

import json
import re
import sys
from pathlib import Path

import lm_eval
import yaml
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import exact_match_fn
from lm_eval.filters import build_filter_ensemble

OPTIONS = ("regexes_to_ignore", "ignore_case", "ignore_punctuation", "ignore_numbers")
tasks = Path(lm_eval.__file__).parent / "tasks" / "gsm8k"


def graded(task, rows):
    """One dictionary per row: filter name -> [answer, is it right]."""
    config = yaml.safe_load((tasks / f"{task}.yaml").read_text())
    (metric,) = config["metric_list"]
    assert metric["metric"] == "exact_match"
    options = {key: metric[key] for key in OPTIONS if key in metric}
    instances = [
        Instance("generate_until", row, ("", {}), index, resps=[row["output"]])
        for index, row in enumerate(rows)
    ]
    for spec in config["filter_list"]:
        steps = [
            (step["function"], {key: value for key, value in step.items() if key != "function"})
            for step in spec["filter"]
        ]
        build_filter_ensemble(spec["name"], steps).apply(instances)
    found = []
    for row, instance in zip(rows, instances):
        verdicts = {}
        for name, answer in instance.filtered_resps.items():
            score = exact_match_fn(predictions=[answer], references=[row["gold"]], **options)
            for pattern in options["regexes_to_ignore"]:
                answer = re.sub(pattern, "", answer)
            verdicts[f"{task}/{name}"] = [answer.lower(), bool(score["exact_match"])]
        found.append(verdicts)
    return found


with open(sys.argv[1], encoding="utf-8") as file:
    rows = [json.loads(line) for line in file]
for plain, chain in zip(graded("gsm8k", rows), graded("gsm8k-cot", rows)):
    print(json.dumps({**plain, **chain}))
