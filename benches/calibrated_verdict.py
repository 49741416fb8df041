#!/usr/bin/env python3
"""Holds what bench says of its numbers against a simulated engine that knows the truth.

Runs short cells under nothing, busy programs, one shared core, a slow disk, many streams, over https,
and with bench stopped for 500 to 2,000 ms. The truth of a number is an interval: the engine's kernel stamps
the arrival of each request, and the engine reads the clock before and after each write. Only
distance outside of that interval is an error. Needs the standard library alone, and `openssl` for a
certificate.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LATENCIES = ["ttft", "e2e", "tpot"]
PERCENTILES = [50.0, 90.0, 99.0]
NEAR_SHARE, NEAR_MS = 0.01, 0.1
MIN_INVALID = 30
BUSY_LOOP = ["sh", "-c", "while :; do :; done"]


class Situation:
    def __init__(self, name, load, tokens=8, busy=0, one_core=False, slow_disk=False, stop=False,
                 https=False):
        self.name, self.load, self.tokens, self.busy = name, load, tokens, busy
        self.one_core, self.slow_disk, self.stop, self.https = one_core, slow_disk, stop, https


def situations(seconds):
    closed = f'concurrency = 64\nduration = "{seconds}s"'
    opened = f'rate = 200.0\nduration = "{seconds}s"'
    many = f'concurrency = 500\nduration = "{seconds}s"'
    found = []
    for load in (closed, opened):
        found += [Situation("nothing", load)] * 3
        for n in (1, 2, 4, 8):
            found += [Situation(f"{n} busy loops", load, busy=n)] * 3
        found += [Situation("one core", load, one_core=True)] * 3
        found += [Situation("slow disk", load, slow_disk=True)] * 3
        found += [Situation("https", load, https=True)] * 3
        found += [Situation("https, 4 busy loops", load, busy=4, https=True)] * 3
    found += [Situation("500 streams", many)] * 4
    for load in (closed, opened):
        found += [Situation("stopped, one core", load, tokens=4, one_core=True, stop=True)] * 11
        found += [Situation("stopped", load, tokens=32, stop=True)] * 6
        found += [Situation("https, stopped, one core", load, tokens=4, one_core=True, stop=True, https=True)] * 6
    return found


def quantile(values, p):
    """Hyndman and Fan's type 7."""
    rank = (len(values) - 1) * p / 100
    below, above = values[int(rank)], values[min(int(rank) + 1, len(values) - 1)]
    return below + (above - below) * (rank - int(rank))


def stop_now_and_then(process, draw, over):
    """Stops bench, and nothing that it started, while it lives."""
    time.sleep(0.7)
    while not over.wait(draw.uniform(0.2, 0.6)):
        try:
            os.kill(process.pid, signal.SIGSTOP)
            over.wait(draw.uniform(0.5, 2.0))
            os.kill(process.pid, signal.SIGCONT)
        except ProcessLookupError:
            return


def sync_for_ever(directory, over):
    block = os.urandom(1 << 20)
    with open(directory / "busy", "wb", buffering=0) as file:
        while not over.is_set():
            file.seek(0)
            for _ in range(8):
                file.write(block)
            os.fsync(file.fileno())


def certificate(home):
    """Makes what the engine shows for itself on https, chain and key in one file, and returns it."""
    shown = home / "engine.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-subj", "/CN=sim", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "-", "-out", "-"],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    shown.write_bytes(made.stdout)
    return str(shown)


def run_cell(bench, situation, draw, seconds):
    with tempfile.TemporaryDirectory(prefix="calibrated-", dir=os.environ.get("TMPDIR")) as home:
        home = pathlib.Path(home)
        truth, out = home / "truth.jsonl", home / "run"
        engine, arguments = "", ["--truth-log", str(truth)]
        if situation.https:
            shown = certificate(home)
            engine = f'url = "https://127.0.0.1:{{{{ port }}}}"\nca = "{shown}"\n'
            arguments += ["--tls", shown]
        (home / "s.toml").write_text(
            f"seed = {draw.randrange(1 << 30)}\n"
            '[engine.sim]\nttft = "50ms"\nitl = "10ms"\n'
            f"{engine}extra-args = {json.dumps(arguments)}\n"
            f'[dataset.q]\nsource = "gsm8k"\ncycle = true\n'
            f'location = "{ROOT / "fixtures/datasets/word_problems.jsonl"}"\n'
            f"[request]\nignore-eos = true\nmax-tokens = {situation.tokens}\n"
            f"[phase.load]\n{situation.load}\n"
        )
        argv = [bench, "run", str(home / "s.toml"), "--quiet", "--out", str(out)]
        if situation.one_core:
            argv = ["taskset", "-c", "0", *argv]
        over, threads = threading.Event(), []
        busy = [subprocess.Popen(BUSY_LOOP) for _ in range(situation.busy)]
        try:
            process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if situation.stop:
                threads.append(threading.Thread(target=stop_now_and_then, args=(process, draw, over)))
            if situation.slow_disk:
                threads.append(threading.Thread(target=sync_for_ever, args=(home, over)))
            for thread in threads:
                thread.start()
            # Whatever was stopped goes on, lest a stop come at the very end.
            try:
                _, said = process.communicate(timeout=20 * seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                _, said = process.communicate()
        finally:
            over.set()
            for thread in threads:
                thread.join()
            for loop in busy:
                loop.kill()
                loop.wait()
        if not (out / "summary.json").exists():
            sys.exit(f"{situation.name}: no summary\n{said}")
        return list(compare(out, truth))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def bound_of(number):
    """A number without a bound is exact to its digits."""
    return number.get("bound", [number["value"]] * 2)


def compare(out, truth_log):
    """Yields (metric, state, value, bound, truth) for each number of the cell."""
    cell = json.loads((out / "summary.json").read_text())["cells"][0]
    trial = next(out.glob("cells/*/trial-1"))
    record = json.loads((trial / "trial.json").read_text())["record"]
    requests = sorted((r for r in lines(trial / "requests.jsonl") if r["sent"]), key=lambda r: r["sent"])
    # The first is the probe of the start; the totals at the end have no arrival.
    rows = sorted((r for r in lines(truth_log) if "arrived_ns" in r), key=lambda r: r["arrived_ns"])[1:]
    if len(rows) != len(requests):
        sys.exit(f"{len(requests)} requests were sent and {len(rows)} arrived")
    # Only complete answers count, on both sides.
    pairs = [(q, r) for q, r in zip(requests, rows) if q["outcome"] == "ok" and r["end"] == "complete"]
    rows = [r for _, r in pairs]
    ends = {
        "ttft": [sorted((r[e] - r["arrived_ns"]) / 1e6 for r in rows) for e in ("first_write_ns", "first_written_ns")],
        "e2e": [sorted((r[e] - r["arrived_ns"]) / 1e6 for r in rows) for e in ("last_write_ns", "last_written_ns")],
        "tpot": [
            sorted((r["last_write_ns"] - r["first_written_ns"]) / (r["tokens"] - 1) / 1e6 for r in rows),
            sorted((r["last_written_ns"] - r["first_write_ns"]) / (r["tokens"] - 1) / 1e6 for r in rows),
        ],
    }
    for metric in LATENCIES:
        # Of streams whose tokens bench did not see, a cell has no TPOT.
        for found in cell["distributions"].get(metric, {"percentiles": []})["percentiles"]:
            if found["p"] in PERCENTILES and found.get("value") is not None:
                truth = [quantile(end, found["p"]) for end in ends[metric]]
                yield f"{metric} p{found['p']:g}", found.get("state", "ok"), found["value"], bound_of(found), truth, "ms"
    # Rates, as the engine saw them inside the window, had its streams never stood still.
    phase = record["phases"][0]
    start, stop, drained = (record["epoch_unix_ns"] + phase[at] for at in ("started", "stopped", "drained"))
    is_open = "concurrency" not in (out / "scenario.toml").read_text()
    # An open loop's window begins when as much is under way as at its end.
    if is_open and 2 * (drained - stop) <= stop - start:
        start += drained - stop
    offset = rows[0]["arrived_realtime_ns"] - rows[0]["arrived_ns"]
    window = (stop - start) / 1e9

    def share(row, ends, late, slack):
        """Share of a request's tokens inside the window, sent `late` ns earlier. Between the first and
        the last, which are known, they come evenly, but for `slack` of them at an edge."""
        first, last = (row[end] - late + offset for end in ends)
        gap = (last - first) / (row["tokens"] - 1)
        before = lambda at: min(max((at - first) // gap + 1 if at >= first else 0, 0), row["tokens"])
        n = before(stop) - before(start - 1)
        edges = sum(first <= at <= last for at in (start, stop))
        return min(max(n + edges * slack, 0), row["tokens"]) / row["tokens"]

    stamps = ("first_write_ns", "last_write_ns"), ("first_written_ns", "last_written_ns")
    figure = cell["figures"]["request_throughput"]
    if figure.get("value") is None:
        return
    if not is_open:
        streams = int((out / "scenario.toml").read_text().split("concurrency = ")[1].split()[0])
        busy = sum(
            max(0, min(r["last_written_ns"] + offset, stop) - max(r["arrived_ns"] + offset, start)) for r in rows
        ) / 1e9
        working = busy / (streams * window)
        counts = [sum(share(r, e, 0, slack) for r in rows) for e in stamps for slack in (-1, 1)]
        truth = [pick(counts) / window / working for pick in (min, max)]
    else:
        # Sent when they were due, requests would have ended earlier by as much.
        late = lambda q: q["sent"] - q["scheduled"]
        counts = [sum(share(r, e, late(q), slack) for q, r in pairs) for e in stamps for slack in (-1, 1)]
        truth = [pick(counts) / window for pick in (min, max)]
    yield "request rate", figure.get("state", "ok"), figure["value"], bound_of(figure), truth, "req/s"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", help="binary; built with --release if absent")
    parser.add_argument("--seconds", type=int, default=4, help="length of each cell's load")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="situations whose name contains this")
    parser.add_argument("--verbose", action="store_true", help="say each number that is off or out of its bound")
    args = parser.parse_args()
    bench = args.bench
    if bench is None:
        subprocess.run(["cargo", "build", "--release", "--bin", "bench"], cwd=ROOT, check=True)
        bench = str(ROOT / "target/release/bench")
    draw = random.Random(args.seed)
    table = collections.defaultdict(lambda: [0, 0, 0])
    by_situation = collections.defaultdict(lambda: collections.Counter())
    cells = [s for s in situations(args.seconds) if args.only in s.name]
    n_out = []
    for situation in cells:
        for name, state, value, bound, truth, unit in run_cell(bench, situation, draw, args.seconds):
            error = max(truth[0] - value, value - truth[1], 0.0)
            near = error <= NEAR_SHARE * truth[1] or (unit == "ms" and error <= NEAR_MS)
            # What is kept in single precision is exact to some nanoseconds.
            slop = 1e-6 * truth[1]
            holds = bound[0] - slop <= truth[1] and truth[0] <= bound[1] + slop
            row = table[state]
            row[0] += 1
            row[1] += near
            row[2] += holds
            by_situation[situation.name][state] += 1
            if args.verbose and (not holds or near == (state == "invalid")):
                n_out.append(
                    f"{situation.name}: {name} {state}: {value:.3f} in {bound[0]:.3f} to {bound[1]:.3f}, "
                    f"truly {truth[0]:.3f} to {truth[1]:.3f}{'' if holds else ', OUT OF ITS BOUND'}"
                )
    print("\n".join(n_out))
    print(f"{len(cells)} cells of {args.seconds} s, {os.cpu_count()} CPUs, Linux {os.uname().release}\n")
    print("| state | numbers | within 1 % or 0.1 ms of the truth | bound holds |")
    print("|---|---:|---:|---:|")
    for state in ("ok", "doubtful", "invalid"):
        n, near, holds = table[state]
        share = lambda part: f"{part} ({100 * part / n:.1f} %)" if n else "–"
        print(f"| {state} | {n} | {share(near)} | {share(holds)} |")
    print()
    for name, states in by_situation.items():
        print(f"{name}: " + ", ".join(f"{n} {state}" for state, n in sorted(states.items())))
    if table["invalid"][0] < MIN_INVALID:
        print(f"\ninconclusive: {table['invalid'][0]} numbers are INVALID, {MIN_INVALID} are needed")


if __name__ == "__main__":
    main()
