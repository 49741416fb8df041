"""An engine without a model: the shapes of processes and answers that real ones have.

It is started by the tests of the engine room. What it does is chosen by flags; what it is
asked is answered with four tokens.
"""

import argparse
import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model-id", default="fake")
    parser.add_argument("--listen-delay", type=float, default=0)
    parser.add_argument("--exit-after", type=float)
    parser.add_argument("--exit-code", type=int, default=0)
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--fork-workers", type=int, default=0)
    parser.add_argument("--setsid-worker", action="store_true")
    parser.add_argument("--respawn", action="store_true")
    parser.add_argument("--proctitle", action="store_true")
    parser.add_argument("--health", choices=["ok", "503"], default="ok")
    parser.add_argument("--generate", choices=["ok", "500", "empty", "hang"], default="ok")
    parser.add_argument("--daemonise", action="store_true")
    parser.add_argument("--say", action="append", default=[])
    parser.add_argument("--flood-mb", type=int, default=0)
    parser.add_argument("--running", type=int, default=0)
    parser.add_argument("--wake-rival", help="FIFO that starts somebody else on our port")
    return parser.parse_args()


def wipe_title(title):
    """Overwrites argv and environ in memory, as setproctitle does."""
    fields = open("/proc/self/stat").read().rsplit(")", 1)[1].split()
    arg_start, _, env_start, env_end = (int(fields[i]) for i in (45, 46, 47, 48))
    ctypes.memset(arg_start, 0, env_end - arg_start)
    ctypes.memmove(arg_start, title.encode(), len(title))
    ctypes.CDLL(None).prctl(15, title.encode()[:15], 0, 0, 0)
    assert env_start > arg_start


def idle(options, title):
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.proctitle:
        wipe_title(title)
    while True:
        time.sleep(3600)


def fork_worker(options, title, setsid=False):
    pid = os.fork()
    if pid == 0:
        if setsid:
            os.setsid()
        idle(options, title)
    return pid


def respawn(options):
    """A supervisor that replaces its worker whenever it dies."""
    if os.fork() == 0:
        while True:
            worker = fork_worker(options, "FAKE::Respawned")
            os.waitpid(worker, 0)


def handler(options):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, body, kind="application/json"):
            body = body.encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            if self.path == "/health":
                self.answer(200 if options.health == "ok" else 503, "{}")
            elif self.path == "/v1/models":
                self.answer(200, json.dumps({"data": [{"id": options.model_id}]}))
            elif self.path == "/version":
                self.answer(200, json.dumps({"version": "1.2.3"}))
            elif self.path == "/metrics":
                running = f'fake:running{{rank="0"}} {options.running}\n'
                self.answer(200, running + "fake:waiting 0\n", "text/plain")
            elif self.path == "/props":
                self.answer(200, json.dumps({"default": {"n_ctx": 512}, "dtype": "f16"}))
            else:
                self.answer(404, "{}")

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])) or "{}")
            if options.generate == "hang":
                time.sleep(3600)
            if options.generate == "500":
                return self.answer(500, '{"error": "CUDA kernel failed"}')
            if options.generate == "empty":
                return self.answer(200, "data: [DONE]\n\n", "text/event-stream")
            events = [{"choices": [{"index": 0, "text": " x"}]} for _ in range(body["max_tokens"])]
            usage = {"prompt_tokens": 10, "completion_tokens": len(events)}
            events.append({"choices": [], "usage": usage})
            text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
            self.answer(200, text + "data: [DONE]\n\n", "text/event-stream")

    return Handler


def main():
    options = arguments()
    for line in options.say:
        print(line.encode().decode("unicode_escape"), flush=True)
    for _ in range(options.flood_mb):
        sys.stdout.write(("flood " * 170 + "\n") * 1024)
    if options.daemonise and os.fork() > 0:
        os._exit(0)
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for rank in range(options.fork_workers):
        fork_worker(options, f"FAKE::Worker_TP{rank}")
    if options.setsid_worker:
        fork_worker(options, "FAKE::EngineCore", setsid=True)
    if options.respawn:
        respawn(options)
    if options.exit_after is not None:
        threading.Timer(options.exit_after, lambda: os._exit(options.exit_code)).start()
    if options.wake_rival and os.path.exists(options.wake_rival):
        with open(options.wake_rival, "w") as rival:
            rival.write(f"{options.port}\n")
        while True:
            time.sleep(3600)
    time.sleep(options.listen_delay)
    if options.proctitle:
        wipe_title("FAKE::APIServer")

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        address_family = socket.AF_INET

    Server(("127.0.0.1", options.port), handler(options)).serve_forever()


main()
