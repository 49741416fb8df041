#!/usr/bin/env python3
"""Runs load generators in turn against one simulated engine and prints what each cost.

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


def clients(load, url, args, scratch):
    """Yields (name, argv) for every client."""
    address = url.removeprefix("http://")
    slow = max(load.streams, load.requests // args.slow_share)
    common = lambda n: ["--streams", str(load.streams), "--requests", str(n), "--tokens", str(load.tokens)]
    for _ in range(args.pairs):
        yield "raw reader", [args.raw_reader, "--address", address, *common(load.requests)]
        yield "bench", [args.load_capacity, "--url", url, *common(load.requests)]
    # Both generate their prompts with a tokenizer.
    tokenizer = args.tokenizer
    yield "GuideLLM", [
        find(args.peers, "guidellm"), "run",
        "--backend", f"kind=openai_http,target={url},model=sim",
        "--profile", f"kind=concurrent,streams={load.streams}",
        "--constraint", f"kind=max_requests,count={slow}",
        "--data", f"kind=synthetic_text,prompt_tokens=16,output_tokens={load.tokens}",
        "--tokenizer", f"kind=huggingface_auto,model={tokenizer}",
        "--output", f"kind=json,path={scratch}/guidellm.json", "--disable-progress",
    ]
    yield "AIPerf", [
        find(args.peers, "aiperf"), "profile", "--model", "sim", "--url", url,
        "--endpoint-type", "chat", "--streaming", "--concurrency", str(load.streams),
        "--request-count", str(slow), "--isl", "16", "--osl", str(load.tokens),
        "--extra-inputs", "ignore_eos:true", "--tokenizer", tokenizer,
        "--artifact-dir", f"{scratch}/aiperf", "--ui", "none",
    ]
    body = (
        '{"model":"sim","messages":[{"role":"user","content":"hello"}],"stream":true,'
        f'"max_tokens":{load.tokens},"ignore_eos":true}}'
    )
    yield "oha", [
        find(args.peers, "oha"), "-n", str(load.requests), "-c", str(load.streams), "--no-tui",
        "-m", "POST", "-T", "application/json", "-d", body, f"{url}/v1/chat/completions",
    ]


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


def start_server(args, load):
    """Starts the simulated engine and returns it with its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = ["taskset", "-c", str(args.server_cpu), args.bench, "serve", "sim", "--port", str(port), *load.server]
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


def built(name):
    """Builds `bench` or one of the programs here and returns its path."""
    argv = ["cargo", *PROGRAMS[name], name, "--message-format", "json"]
    out = subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in out.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == name:
            return message["executable"]
    sys.exit(f"cargo built no {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="folder with guidellm, aiperf and oha; else PATH")
    parser.add_argument("--tokenizer", default=str(ROOT / "fixtures/models/word-problems-1m"),
                        help="tokenizer folder, absolute, for clients that insist on one")
    parser.add_argument("--pairs", type=int, default=3, help="runs of raw reader and bench")
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--client-cpu", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=900, help="seconds per client")
    parser.add_argument("--slow-share", type=int, default=16,
                        help="GuideLLM and AIPerf get this many times fewer requests")
    for name in PROGRAMS:
        parser.add_argument("--" + name.replace("_", "-"), help="built program; else it is built")
    args = parser.parse_args()
    for name in PROGRAMS:
        if getattr(args, name) is None:
            setattr(args, name, built(name))
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


if __name__ == "__main__":
    main()
