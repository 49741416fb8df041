#!/usr/bin/env python3
"""Holds the verdicts of `bench compare` against engines whose true difference is known.

Pairs of simulated engines that are the same, 15 % apart and 3 % apart, each measured with five
interleaved trials and compared as anybody would. Prints how often a verdict was wrong or right,
and fails where that is more or less often than is promised. Needs the standard library alone.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

TTFT_MS, ITL_MS = 40.0, 5.0
TRIALS = 5
# What differs by the factor of a pair.
LATENCIES = ["ttft.p50", "tpot.p50", "e2e.p50"]


class Case:
    def __init__(self, name, factor, promise, margin=None):
        self.name, self.factor, self.promise, self.margin = name, factor, promise, margin


# What is promised: of 40 pairs at most 2, at least 38, and none.
CASES = [
    Case("the same", 1.0, lambda found: found["called"] <= 2 * found["pairs"] / 40),
    Case("15 % slower", 1.15, lambda found: found["all worse"] >= 38 * found["pairs"] / 40),
    Case("3 % slower", 1.03, lambda found: found["equivalent"] == 0, margin=0.01),
]


def scenario(factor, seed):
    engine = lambda name, times: (
        f'[engine.{name}]\npreset = "sim"\nttft = "{TTFT_MS * times:.3f}ms"\nitl = "{ITL_MS * times:.3f}ms"\n'
    )
    return (
        f'seed = {seed}\ntrials = {TRIALS}\norder = "interleaved"\n'
        + engine("one", 1.0) + engine("two", factor)
        + '[dataset.q]\nsource = "jsonl"\nlocation = "./q.jsonl"\ncolumns = { prompt = "question" }\ncycle = true\n'
        "[request]\nmax-tokens = 8\n[phase.load]\nconcurrency = 2\nrequests = 16\n"
        '[matrix]\nengine = ["one", "two"]\n'
    )


def verdicts(args, case, seed, folder):
    """Runs one pair and returns the verdict of each quantity; none where it cannot be compared."""
    folder.mkdir()
    (folder / "q.jsonl").write_text('{"question":"What is 1 + 1?"}\n')
    (folder / "pair.toml").write_text(scenario(case.factor, seed))
    run = [args.bench, "run", "pair.toml", "--quiet", "--fail-on", "failed", "--out", "run"]
    subprocess.run(run, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
    compare = [args.bench, "compare", "run", "--by", "engine", "--format", "json"]
    compare += ["--margin", str(case.margin)] if case.margin else []
    found = json.loads(subprocess.run(compare, cwd=folder, check=True, stdout=subprocess.PIPE, timeout=60).stdout)
    rows = [row for cells in found["cells"] for row in cells["rows"]]
    return {row["quantity"]: row["verdict"] for row in rows}


def counted(args, case, scratch):
    found = {"pairs": 0, "not compared": 0, "called": 0, "all worse": 0, "equivalent": 0}
    for seed in range(args.pairs):
        got = verdicts(args, case, seed, pathlib.Path(scratch, f"{case.factor}-{seed}"))
        of_latency = [got[name] for name in LATENCIES if name in got]
        if len(of_latency) < len(LATENCIES):
            found["not compared"] += 1
            continue
        found["pairs"] += 1
        found["called"] += any(verdict in ("better", "worse") for verdict in got.values())
        found["all worse"] += all(verdict == "worse" for verdict in of_latency)
        found["equivalent"] += "equivalent" in of_latency
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", required=True, type=lambda path: str(pathlib.Path(path).resolve()),
                        help="the built program")
    parser.add_argument("--pairs", type=int, default=40, help="pairs of each kind")
    args = parser.parse_args()
    kept = True
    print("| engines | pairs | not compared | any better or worse | latencies all worse | any equivalent | as promised |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for case in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            found = counted(args, case, scratch)
        is_kept = case.promise(found)
        kept &= is_kept
        word = "yes" if is_kept else "NO"
        # On a busy machine cells are INVALID: what could not be compared proves nothing.
        if found["pairs"] < args.pairs * 3 // 4:
            word = "inconclusive: the machine was too busy"
        print("|", case.name, "|", " | ".join(map(str, found.values())), "|", word, "|", flush=True)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
