#!/usr/bin/env python3
"""Runs load generators in turn against one simulated engine and prints what each cost, and how far
the times to first token that each reports are from those that the engine's kernel stamped.

Only the standard library is used. See README.md in this directory.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
import urllib.request

PROGRAMS = {
    "bench": ["build", "--release", "--bin"],
    "raw_reader": ["bench", "--no-run", "--bench"],
    "load_capacity": ["bench", "--no-run", "--bench"],
}
# How often the server is asked what it has served: start-up of a client is in no rate.
LOOK_EVERY = 0.05
ROOT = pathlib.Path(__file__).resolve().parent.parent


class Load:
    """A load: how the server behaves and what each client is asked for."""

    def __init__(self, name, server, streams, requests, tokens):
        self.name, self.server = name, server
        self.streams, self.requests, self.tokens = streams, requests, tokens

    @property
    def chunks(self):
        """Token chunks that a client has to receive."""
        return self.requests * self.tokens


LOADS = [
    Load("capacity", ["--ttft", "0", "--itl", "0"], 64, 16000, 128),
    Load("paced", ["--ttft", "50ms", "--itl", "10ms"], 500, 1000, 384),
]


# Latencies that differ from request to request, and enough requests for a p99.
TRUTH = Load("truth", ["--ttft", "lognormal:50ms,0.3", "--itl", "10ms"], 64, 1000, 32)
# Programs that do nothing but use processors, beside the second half of the runs against the truth.
BUSY_LOOPS = 4


def clients(load, url, args, scratch):
    """Yields (name, argv) for every client whose cost is measured."""
    address = url.removeprefix("http://")
    slow = max(load.streams, load.requests // args.slow_share)
    common = lambda n: ["--streams", str(load.streams), "--requests", str(n), "--tokens", str(load.tokens)]
    for _ in range(args.pairs):
        yield "raw reader", [args.raw_reader, "--address", address, *common(load.requests)]
        yield "bench", [args.load_capacity, "--url", url, *common(load.requests)]
    yield "GuideLLM", guidellm(load, url, args, scratch, slow)
    yield "AIPerf", aiperf(load, url, args, scratch, slow)
    body = (
        '{"model":"sim","messages":[{"role":"user","content":"hello"}],"stream":true,'
        f'"max_tokens":{load.tokens},"ignore_eos":true}}'
    )
    yield "oha", [
        find(args.peers, "oha"), "-n", str(load.requests), "-c", str(load.streams), "--no-tui",
        "-m", "POST", "-T", "application/json", "-d", body, f"{url}/v1/chat/completions",
    ]


def guidellm(load, url, args, scratch, n_requests):
    """Returns the argv of GuideLLM, which generates its prompts with a tokenizer."""
    return [
        find(args.peers, "guidellm"), "run",
        "--backend", f"kind=openai_http,target={url},model=sim",
        "--profile", f"kind=concurrent,streams={load.streams}",
        "--constraint", f"kind=max_requests,count={n_requests}",
        "--data", f"kind=synthetic_text,prompt_tokens=16,output_tokens={load.tokens}",
        "--tokenizer", f"kind=huggingface_auto,model={args.tokenizer}",
        "--output", f"kind=json,path={scratch}/guidellm.json", "--disable-progress",
    ]


def aiperf(load, url, args, scratch, n_requests):
    """Returns the argv of AIPerf, which generates its prompts with a tokenizer."""
    return [
        find(args.peers, "aiperf"), "profile", "--model", "sim", "--url", url,
        "--endpoint-type", "chat", "--streaming", "--concurrency", str(load.streams),
        "--request-count", str(n_requests), "--isl", "16", "--osl", str(load.tokens),
        "--extra-inputs", "ignore_eos:true", "--tokenizer", args.tokenizer,
        "--artifact-dir", f"{scratch}/aiperf", "--ui", "none",
    ]


def vllm_rs(load, url, args, scratch, n_requests):
    """Returns the argv of vLLM's client in Rust."""
    return [
        find(args.peers, "vllm-rs"), "bench", "serve", "--backend", "openai-chat",
        "--base-url", url, "--endpoint", "/v1/chat/completions", "--model", "sim",
        "--tokenizer", args.tokenizer, "--dataset-name", "random", "--random-input-len", "16",
        "--random-output-len", str(load.tokens), "--num-prompts", str(n_requests),
        "--max-concurrency", str(load.streams), "--ignore-eos", "--percentile-metrics", "ttft",
        "--metric-percentiles", "50,99", "--save-result", "--result-dir", scratch,
        "--result-filename", "vllm.json",
    ]


def bench_run(load, url, args, scratch, n_requests):
    """Returns the argv of `bench run` against the running engine."""
    data = pathlib.Path(scratch, "prompts.jsonl")
    data.write_text("".join(f'{{"prompt":"What is {n} + 1?"}}\n' for n in range(n_requests)))
    scenario = pathlib.Path(scratch, "truth.toml")
    scenario.write_text(
        f'[engine.endpoint]\nurl = "{url}"\nmodel = "sim"\n'
        f'[dataset.prompts]\nsource = "jsonl"\nlocation = "{data}"\n'
        'columns = { prompt = "prompt" }\n'
        f"[request]\nmax-tokens = {load.tokens}\nignore-eos = true\n"
        f"[phase.load]\nconcurrency = {load.streams}\nrequests = {n_requests}\n"
    )
    return [args.bench, "run", scenario, "--quiet", "--fail-on", "failed", "--out", f"{scratch}/run"]


def ttft_of_bench(scratch):
    """Returns (p50, p99, n) of the times to first token that `bench run` reports."""
    cell = json.loads(pathlib.Path(scratch, "run/summary.json").read_text())["cells"][0]
    ttft = cell["distributions"]["ttft"]
    at = {row["p"]: row["value"] for row in ttft["percentiles"]}
    return at[50.0], at[99.0], ttft["n"]


def ttft_of_vllm_rs(scratch):
    """Returns (p50, p99, n) of the times to first token that vLLM's client reports."""
    found = json.loads(pathlib.Path(scratch, "vllm.json").read_text())
    return found["p50_ttft_ms"], found["p99_ttft_ms"], found["completed"]


def ttft_of_guidellm(scratch):
    """Returns (p50, p99, n) of the times to first token that GuideLLM reports."""
    found = json.loads(pathlib.Path(scratch, "guidellm.json").read_text())
    ttft = found["benchmarks"][0]["metrics"]["time_to_first_token_ms"]["successful"]
    return ttft["percentiles"]["p50"], ttft["percentiles"]["p99"], ttft["count"]


def ttft_of_aiperf(scratch):
    """Returns (p50, p99, n) of the times to first token that AIPerf reports."""
    found = json.loads(next(pathlib.Path(scratch, "aiperf").rglob("profile_export_aiperf.json")).read_text())
    ttft = found["time_to_first_token"]
    return ttft["p50"], ttft["p99"], int(found["request_count"]["avg"])


# Clients that are held against the truth: how each is started and how its report is read.
WITNESSES = {
    "bench": (bench_run, ttft_of_bench),
    "vLLM's Rust client": (vllm_rs, ttft_of_vllm_rs),
    "AIPerf": (aiperf, ttft_of_aiperf),
    "GuideLLM": (guidellm, ttft_of_guidellm),
}


def find(folder, name):
    """Returns the path of a program in the folder or on PATH, or None."""
    if folder and os.access(f"{folder}/{name}", os.X_OK):
        return f"{folder}/{name}"
    return shutil.which(name)


def wake_lag_p99_ms(cpu, seconds=1.0):
    """Returns how late a sleep of 1 ms ends on a CPU, in milliseconds, at the 99th percentile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    lags = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        due = time.monotonic() + 0.001
        time.sleep(0.001)
        lags.append((time.monotonic() - due) * 1e3)
    os.sched_setaffinity(0, before)
    return sorted(lags)[int(len(lags) * 0.99)]


def start_server(args, load, *more):
    """Starts the simulated engine and returns it with its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = ["taskset", "-c", str(args.server_cpu), args.bench, "serve", "sim", "--port", str(port), *load.server, *more]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{url}/health", timeout=1).close()
            return server, url
        except OSError:
            time.sleep(0.1)
    server.kill()
    sys.exit("the simulated engine did not start")


def chunks_served(url):
    """Returns the tokens that the server has counted so far."""
    text = urllib.request.urlopen(f"{url}/metrics", timeout=5).read().decode()
    for line in text.splitlines():
        if not line.startswith("#") and "generation_tokens_total" in line:
            return float(line.rsplit(" ", 1)[1])
    sys.exit("the simulated engine's /metrics has no count of generated tokens")


def measure(name, argv, args, url):
    """Runs one client and returns its row."""
    if argv[0] is None:
        return [name, "absent", "", "", "", ""]
    lag = wake_lag_p99_ms(args.client_cpu)
    served = chunks_served(url)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    client = subprocess.Popen(
        ["taskset", "-c", str(args.client_cpu), *map(str, argv)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )
    first = last = None
    n_chunks = 0
    while True:
        try:
            output, _ = client.communicate(timeout=LOOK_EVERY)
        except subprocess.TimeoutExpired:
            output = None
        now, n_now = time.monotonic(), chunks_served(url) - served
        if n_now > n_chunks:
            first, last, n_chunks = first or now, now, n_now
        if output is not None:
            break
        if now - began > args.timeout:
            os.killpg(client.pid, signal.SIGKILL)
            client.communicate()
            return [name, f"not done after {args.timeout} s", "", "", "", ""]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    lag = max(lag, wake_lag_p99_ms(args.client_cpu))
    if client.returncode != 0 or n_chunks == 0:
        last = (output.strip().splitlines() or ["no output"])[-1]
        return [name, f"failed: {last[:60]}", "", "", "", ""]
    # The first look that saw a chunk is one interval late.
    active = last - first + LOOK_EVERY
    verdict = "ok" if lag < 1.0 else f"inconclusive (lag {lag:.1f} ms)"
    return [
        name, verdict, f"{n_chunks:.0f}", f"{active:.1f}", f"{n_chunks / active:.0f}",
        f"{cpu / n_chunks * 1e6:.1f}",
    ]


def quantile(values, share):
    """Returns a quantile of values by linear interpolation between ranks."""
    values = sorted(values)
    at = (len(values) - 1) * share
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def true_ttft_ms(log, load, n):
    """Returns bounds of the times to first token of a client's last n requests, as the engine knows them.

    From the kernel's stamp of the request's last byte to just before, and to just after, the write
    of the first token. Probes and warm-ups come first, or ask for other lengths.
    """
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    rows = [row for row in rows if row.get("tokens") == load.tokens and row["end"] == "complete"]
    if len(rows) < n:
        sys.exit(f"the engine completed {len(rows)} requests, the client reports {n}")
    rows.sort(key=lambda row: row["arrived_ns"])
    # The second stamp is 0 where the socket did not take all of the write at once.
    after = lambda row: row.get("first_written_ns") or row["first_write_ns"]
    least = [(row["first_write_ns"] - row["arrived_ns"]) / 1e6 for row in rows[-n:]]
    most = [(after(row) - row["arrived_ns"]) / 1e6 for row in rows[-n:]]
    return least, most


def outside(value, least, most, share):
    """Returns how far a reported quantile is from the interval in which the true one lies."""
    low, high = quantile(least, share), quantile(most, share)
    return value - high if value > high else min(value - low, 0.0)


def witness(name, args):
    """Runs one client against a server of its own; returns its errors, or why there are none."""
    start, read = WITNESSES[name]
    lag = wake_lag_p99_ms(args.client_cpu)
    with tempfile.TemporaryDirectory() as scratch:
        log = pathlib.Path(scratch, "truth.jsonl")
        server, url = start_server(args, TRUTH, "--truth-log", str(log))
        argv = start(TRUTH, url, args, scratch, TRUTH.requests)
        try:
            if argv[0] is None:
                return "absent"
            client = subprocess.Popen(
                ["taskset", "-c", str(args.client_cpu), *map(str, argv)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )
            said, _ = client.communicate(timeout=args.timeout)
        except subprocess.TimeoutExpired:
            # What it started would measure the next client with it.
            os.killpg(client.pid, signal.SIGKILL)
            client.communicate()
            return f"not done after {args.timeout:g} s"
        finally:
            server.terminate()
            server.wait()
        if client.returncode != 0:
            last = (said.strip().splitlines() or ["no output"])[-1]
            return f"failed: {last[:60]}"
        p50, p99, n = read(scratch)
        least, most = true_ttft_ms(log, TRUTH, n)
        return types.SimpleNamespace(
            n=n, p50=p50, p99=p99, lag=max(lag, wake_lag_p99_ms(args.client_cpu)),
            error_50=outside(p50, least, most, 0.5), error_99=outside(p99, least, most, 0.99),
        )


def hold_against_truth(args):
    """Prints what each client reports, and how far that is from the truth of the same run."""
    print("| machine | client | n | TTFT p50 ms | error ms | TTFT p99 ms | error ms | wake lag ms |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for n_loops in (0, BUSY_LOOPS):
        loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(n_loops)]
        machine = f"beside {n_loops} busy loops" if loops else "idle"
        try:
            for name in WITNESSES:
                found = [witness(name, args) for _ in range(args.truth_runs)]
                words = [run for run in found if isinstance(run, str)]
                if words:
                    print(f"| {machine} | {name} | {words[0]} | | | | | |", flush=True)
                    continue
                # The run in the middle by its error at p99.
                run = sorted(found, key=lambda run: abs(run.error_99))[len(found) // 2]
                print(
                    f"| {machine} | {name} | {run.n} | {run.p50:.3f} | {run.error_50:+.3f} "
                    f"| {run.p99:.3f} | {run.error_99:+.3f} | {run.lag:.1f} |", flush=True,
                )
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()


def built(name):
    """Builds `bench` or one of the programs here and returns its path."""
    argv = ["cargo", *PROGRAMS[name], name, "--message-format", "json"]
    out = subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in out.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == name:
            return message["executable"]
    sys.exit(f"cargo built no {name}")


def compare_costs(args):
    """Prints what each client cost under each load."""
    print("| load | client | state | chunks | active s | chunks/s | CPU s per million chunks |")
    print("|---|---|---|---:|---:|---:|---:|")
    for load in LOADS:
        server, url = start_server(args, load)
        with tempfile.TemporaryDirectory() as scratch:
            for name, argv in clients(load, url, args, scratch):
                row = measure(name, argv, args, url)
                print("| " + " | ".join([load.name, *row]) + " |", flush=True)
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="folder with guidellm, aiperf, oha and vllm-rs; else PATH")
    parser.add_argument("--tokenizer", default=str(ROOT / "fixtures/models/word-problems-1m"),
                        help="tokenizer folder, absolute, for clients that insist on one")
    parser.add_argument("--pairs", type=int, default=3, help="runs of raw reader and bench")
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--client-cpu", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=900, help="seconds per client")
    parser.add_argument("--only", choices=["cost", "truth"], help="one of the two tables alone")
    parser.add_argument("--truth-runs", type=int, default=3, metavar="N",
                        help="runs of each client against the truth; the middle one is printed")
    parser.add_argument("--truth-requests", type=int, default=TRUTH.requests, metavar="N",
                        help="requests of such a run, 662 at least: of fewer bench tells no p99")
    parser.add_argument("--slow-share", type=int, default=16,
                        help="GuideLLM and AIPerf get this many times fewer requests")
    for name in PROGRAMS:
        parser.add_argument("--" + name.replace("_", "-"), help="built program; else it is built")
    args = parser.parse_args()
    if args.truth_requests < 662:
        parser.error("--truth-requests: of fewer than 662 bench tells no p99")
    TRUTH.requests = args.truth_requests
    for name in ["bench"] if args.only == "truth" else PROGRAMS:
        if getattr(args, name) is None:
            setattr(args, name, built(name))
    if args.only != "truth":
        compare_costs(args)
    if args.only != "cost":
        hold_against_truth(args)


if __name__ == "__main__":
    main()
