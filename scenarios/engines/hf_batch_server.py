"""An OpenAI-compatible server that runs static batches through Hugging Face transformers.

Offline tables compare eager PyTorch, torch.compile and Accelerate at a fixed batch size.
`transformers serve` cannot do that: it has no static batches. This server collects `batch-size`
requests, runs them together until the last one is finished, and streams every token after the
device has finished computing it, so that a time to first token is a time and not the moment at
which a kernel was queued.

    python hf_batch_server.py --model DIR --batch-size 8 --mode eager --dtype float32 --port 8000
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from aiohttp import web
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, StaticCache

END = None
"""Put into a request's queue after its last event."""


@dataclass
class Generation:
    """One request on its way through a batch."""

    prompt_ids: list[int]
    max_tokens: int
    ignore_eos: bool
    stop: list[str]
    temperature: float
    events: asyncio.Queue
    loop: asyncio.AbstractEventLoop
    output_ids: list[int] = field(default_factory=list)
    text: str = ""
    n_said: int = 0
    """Characters of `text` that were emitted."""
    n_read: int = 0
    """Output ids that are in `text`; those before `n_settled` no longer change what follows."""
    n_settled: int = 0
    finish: str | None = None
    cancelled: bool = False

    def sayable(self) -> int:
        """Returns where the text ends that cannot be the beginning of a stop string."""
        for begin in range(self.n_said, len(self.text)):
            if any(stop.startswith(self.text[begin:]) for stop in self.stop):
                return begin
        return len(self.text)

    def emit(self, event: Any) -> None:
        """Hands an event to the connection's task; called from the model's thread."""
        self.loop.call_soon_threadsafe(self.events.put_nowait, event)


class Model:
    """A causal language model in one of three modes: `eager`, `compile`, `accelerate`."""

    def __init__(self, path: str, mode: str, dtype: str, device: str, max_length: int) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        placement = {"device_map": "auto"} if mode == "accelerate" else {}
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype), **placement)
        if mode != "accelerate":
            self.model.to(device)
        self.model.eval()
        self.device = self.model.device
        self.max_length = max_length
        self.is_compiled = mode == "compile"
        self.forward = torch.compile(self.model.forward) if self.is_compiled else self.model.forward
        eos = self.model.generation_config.eos_token_id
        self.eos_ids = set(eos if isinstance(eos, list) else [eos])
        self.pad_id = next(iter(self.eos_ids)) or 0

    def synchronise(self) -> None:
        """Waits until the device has finished, so that what follows is not early."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def new_cache(self, n_rows: int, n_positions: int) -> Any:
        """Returns an empty key-value cache; of a fixed size when the forward pass is compiled."""
        if not self.is_compiled:
            return DynamicCache(config=self.model.config)
        return StaticCache(config=self.model.config, max_batch_size=n_rows, max_cache_len=n_positions)

    @torch.inference_mode()
    def run(self, batch: list[Generation]) -> None:
        """Generates for a whole batch; shorter prompts are padded on the left."""
        longest = max(len(row.prompt_ids) for row in batch)
        n_steps = max(row.max_tokens for row in batch)
        padding = [longest - len(row.prompt_ids) for row in batch]
        ids = torch.tensor(
            [[self.pad_id] * pad + row.prompt_ids for pad, row in zip(padding, batch)], device=self.device
        )
        mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding], device=self.device)
        cache = self.new_cache(len(batch), longest + n_steps)
        for _ in range(n_steps):
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            output = self.forward(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
            )
            ids = self.choose(output.logits[:, -1].float(), batch)
            self.synchronise()
            for row, token in zip(batch, ids[:, 0].tolist()):
                self.take(row, token)
            if all(row.finish for row in batch):
                break
            mask = torch.cat([mask, mask.new_ones(len(batch), 1)], dim=1)

    def choose(self, logits: torch.Tensor, batch: list[Generation]) -> torch.Tensor:
        """Returns the next token of each row, `[rows, 1]`: greedy at temperature 0."""
        greedy = logits.argmax(-1, keepdim=True)
        temperature = torch.tensor([[row.temperature] for row in batch], device=logits.device)
        if not bool((temperature > 0).any()):
            return greedy
        sampled = torch.multinomial((logits / temperature.clamp(min=1e-3)).softmax(-1), 1)
        return torch.where(temperature > 0, sampled, greedy)

    def take(self, row: Generation, token: int) -> None:
        """Appends a token to an unfinished row and emits what can be said so far."""
        if row.finish:
            return
        row.output_ids.append(token)
        if token in self.eos_ids and not row.ignore_eos:
            row.finish = "stop"
        if len(row.output_ids) >= row.max_tokens or row.cancelled:
            row.finish = row.finish or "length"
        row.text += self.new_text(row)
        cuts = [cut for stop in row.stop if (cut := row.text.find(stop, row.n_said)) >= 0]
        if cuts:
            row.text, row.finish = row.text[: min(cuts)], "stop"
        end = len(row.text) if row.finish else row.sayable()
        if row.n_said < end:
            row.emit(row.text[row.n_said : end])
            row.n_said = end
        if row.finish:
            row.emit(END)

    def new_text(self, row: Generation) -> str:
        """Returns the text of the ids that are not in the row's text yet.

        Only the last few ids are decoded, twice: how an id is spelled may depend on the one
        before it, and decoding all of them at every step would be part of the time per token.
        """
        decode = functools.partial(self.tokenizer.decode, skip_special_tokens=not row.ignore_eos)
        before = decode(row.output_ids[row.n_settled : row.n_read])
        after = decode(row.output_ids[row.n_settled :])
        # A character whose bytes are not complete yet decodes to U+FFFD: wait for the rest.
        if after.endswith("\ufffd") and not row.finish:
            return ""
        row.n_settled, row.n_read = row.n_read, len(row.output_ids)
        return after[len(before) :]


class Batcher(threading.Thread):
    """Collects requests into static batches and runs one batch after the other."""

    def __init__(self, model: Model, batch_size: int, wait_s: float) -> None:
        super().__init__(daemon=True, name="batcher")
        self.model, self.batch_size, self.wait_s = model, batch_size, wait_s
        self.waiting: queue.Queue[Generation] = queue.Queue()
        self.failure: str | None = None

    def run(self) -> None:
        while True:
            batch = self.collect()
            try:
                self.model.run(batch)
            except Exception as error:  # The batch fails, the server says why and goes on.
                self.failure = f"{type(error).__name__}: {error}"
                for row in batch:
                    row.emit(error)

    def collect(self) -> list[Generation]:
        """Waits for a full batch, at most `wait_s` after its first request."""
        batch = [self.waiting.get()]
        deadline = time.monotonic() + self.wait_s
        while len(batch) < self.batch_size:
            try:
                batch.append(self.waiting.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                break
        return batch


class Door:
    """The HTTP side: completions and chat, streamed and not."""

    def __init__(self, model: Model, batcher: Batcher, name: str) -> None:
        self.model, self.batcher, self.name = model, batcher, name

    def application(self) -> web.Application:
        application = web.Application(client_max_size=64 << 20)
        application.router.add_get("/health", self.health)
        application.router.add_get("/v1/models", self.models)
        application.router.add_post("/v1/completions", self.completions)
        application.router.add_post("/v1/chat/completions", self.chat)
        return application

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"} if self.batcher.is_alive() else {"status": "dead"})

    async def models(self, _: web.Request) -> web.Response:
        entry = {"id": self.name, "object": "model", "max_model_len": self.model.max_length}
        entry |= {"dtype": str(self.model.model.dtype)}
        return web.json_response({"object": "list", "data": [entry]})

    async def completions(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = body.get("prompt", "")
        ids = prompt if isinstance(prompt, list) else self.model.tokenizer(prompt)["input_ids"]
        return await self.answer(request, body, ids, is_chat=False)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = self.model.tokenizer.apply_chat_template(
            body.get("messages", []), tokenize=False, add_generation_prompt=True
        )
        ids = self.model.tokenizer(text, add_special_tokens=False)["input_ids"]
        return await self.answer(request, body, ids, is_chat=True)

    async def answer(
        self, request: web.Request, body: dict, ids: list[int], is_chat: bool
    ) -> web.StreamResponse:
        n_left = self.model.max_length - len(ids)
        max_tokens = body.get("max_tokens") or body.get("max_completion_tokens") or 16
        if max_tokens > n_left:
            return refusal(f"{len(ids)} prompt tokens and {max_tokens} output tokens exceed {self.model.max_length}")
        stop = body.get("stop") or []
        generation = Generation(
            prompt_ids=ids,
            max_tokens=max_tokens,
            ignore_eos=bool(body.get("ignore_eos")),
            stop=[stop] if isinstance(stop, str) else stop,
            temperature=float(body.get("temperature", 0.0)),
            events=asyncio.Queue(),
            loop=asyncio.get_running_loop(),
        )
        self.batcher.waiting.put(generation)
        try:
            if body.get("stream"):
                return await self.stream(request, body, generation, is_chat)
            return await self.whole(generation, is_chat)
        finally:
            generation.cancelled = True

    async def whole(self, generation: Generation, is_chat: bool) -> web.Response:
        while (event := await generation.events.get()) is not END:
            if isinstance(event, Exception):
                return refusal(str(event), status=500)
        content = {"message": {"role": "assistant", "content": generation.text}} if is_chat else {"text": generation.text}
        choice = {"index": 0, "finish_reason": generation.finish, **content}
        return web.json_response(self.envelope(is_chat, False) | {"choices": [choice], "usage": usage(generation)})

    async def stream(
        self, request: web.Request, body: dict, generation: Generation, is_chat: bool
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        envelope = self.envelope(is_chat, True)
        while (event := await generation.events.get()) is not END:
            if isinstance(event, Exception):
                await send(response, {"error": {"message": str(event), "type": "server_error"}})
                break
            content = {"delta": {"content": event}} if is_chat else {"text": event}
            await send(response, envelope | {"choices": [{"index": 0, "finish_reason": None, **content}]})
        else:
            content = {"delta": {}} if is_chat else {"text": ""}
            last = {"index": 0, "finish_reason": generation.finish, **content}
            await send(response, envelope | {"choices": [last]})
            if (body.get("stream_options") or {}).get("include_usage"):
                await send(response, envelope | {"choices": [], "usage": usage(generation)})
            await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    def envelope(self, is_chat: bool, is_stream: bool) -> dict:
        kind = ("chat.completion.chunk" if is_stream else "chat.completion") if is_chat else "text_completion"
        return {"id": "hf-batch", "object": kind, "created": int(time.time()), "model": self.name}


async def send(response: web.StreamResponse, event: dict) -> None:
    await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")


def usage(generation: Generation) -> dict:
    n_prompt, n_output = len(generation.prompt_ids), len(generation.output_ids)
    return {"prompt_tokens": n_prompt, "completion_tokens": n_output, "total_tokens": n_prompt + n_output}


def refusal(message: str, status: int = 400) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=status)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="directory or hub id")
    parser.add_argument("--served-model-name", help="model id in answers (default: --model)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--mode", choices=["eager", "compile", "accelerate"], default="eager")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch-size", type=int, default=1, help="requests that are run together")
    parser.add_argument("--batch-wait", type=float, default=0.05, help="seconds that a batch waits to be full")
    parser.add_argument("--max-length", type=int, help="prompt and output tokens (default: the model's)")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    started = time.perf_counter()
    model = Model(options.model, options.mode, options.dtype, options.device, 0)
    model.max_length = options.max_length or model.model.config.max_position_embeddings
    print(f"Loading weights took {time.perf_counter() - started:.2f} seconds", flush=True)
    batcher = Batcher(model, options.batch_size, options.batch_wait)
    batcher.start()
    door = Door(model, batcher, options.served_model_name or options.model)
    web.run_app(door.application(), host=options.host, port=options.port, print=None, handler_cancellation=True)


if __name__ == "__main__":
    main()
