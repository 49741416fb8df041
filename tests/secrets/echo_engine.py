"""An engine that tells everything it knows: its environment in its log, its key in its answers.

It wants the key of its variable ENGINE_KEY with every request. Every second completion is an
error that repeats the key; the others say it as the model's own words.
"""

import itertools
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = os.environ.get("ENGINE_KEY", "")
COUNT = itertools.count()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        print(f"{self.path} with {self.headers.get('authorization')}", flush=True)

    def answer(self, status, body, kind="application/json"):
        body = body.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def fail(self, status, message):
        self.answer(status, json.dumps({"error": {"message": message}}))

    def is_refused(self):
        if self.headers.get("authorization") == f"Bearer {KEY}":
            return False
        self.fail(401, f"wanted {KEY}, got {self.headers.get('authorization')}")
        return True

    def do_GET(self):
        if self.path == "/health":
            self.answer(200, "")
        elif not self.is_refused():
            self.answer(200, json.dumps({"data": [{"id": "m"}], "key": KEY}))

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.is_refused():
            return
        # The first request is the proof of readiness.
        if next(COUNT) % 2 == 1:
            # The excerpt that is kept ends in the middle of the key.
            self.fail(500, "x" * 190 + f"Bearer {KEY}")
            return
        words = [f"my key is {KEY[:9]}", f"{KEY[9:]} and my secret is ", os.environ.get("OTHER", "")]
        events = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in words]
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        events.append({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3}})
        text = "".join(f"data: {json.dumps(event | {'model': asked['model']})}\n\n" for event in events)
        self.answer(200, text + "data: [DONE]\n\n", "text/event-stream")


for name, value in os.environ.items():
    print(f"{name}={value}", flush=True)
sys.stderr.write(f"no newline behind {KEY}")
sys.stderr.flush()
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
