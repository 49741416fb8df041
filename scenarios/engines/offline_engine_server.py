"""vLLM's or SGLang's engine as a library, in this process, behind a small HTTP door.

Comparisons of offline engines leave the servers of both out: no API server, no router, no metrics
endpoint, and one door for both. This program starts the engine as a script would that imports it,
and hands requests to it as they come, so that scheduling and batching are the engine's own.

    python offline_engine_server.py --backend vllm --model DIR --port 8000 --option max_model_len=512
"""

from __future__ import annotations

import argparse
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

Event = tuple[str, int, int, str | None]
"""New text, prompt tokens, output tokens so far, and why generation ended."""


class Vllm:
    """vLLM's asynchronous engine."""

    def __init__(self, model: str, options: dict[str, Any]) -> None:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        self.engine = AsyncLLM.from_engine_args(AsyncEngineArgs(model=model, **options))

    async def tokenizer(self) -> Any:
        tokenizer = self.engine.get_tokenizer()
        return await tokenizer if hasattr(tokenizer, "__await__") else tokenizer

    async def generate(self, ids: list[int], body: dict) -> AsyncIterator[Event]:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        sampling = SamplingParams(
            max_tokens=tokens_wanted(body),
            temperature=float(body.get("temperature", 0.0)),
            stop=stops(body),
            ignore_eos=bool(body.get("ignore_eos")),
            output_kind=RequestOutputKind.DELTA,
        )
        n_output = 0
        async for step in self.engine.generate({"prompt_token_ids": ids}, sampling, str(uuid.uuid4())):
            part = step.outputs[0]
            n_output += len(part.token_ids)
            yield part.text, len(ids), n_output, part.finish_reason


class Sglang:
    """SGLang's engine."""

    def __init__(self, model: str, options: dict[str, Any]) -> None:
        import sglang

        self.engine = sglang.Engine(model_path=model, **options)

    async def tokenizer(self) -> Any:
        return self.engine.tokenizer_manager.tokenizer

    async def generate(self, ids: list[int], body: dict) -> AsyncIterator[Event]:
        sampling = {
            "max_new_tokens": tokens_wanted(body),
            "temperature": float(body.get("temperature", 0.0)),
            "stop": stops(body),
            "ignore_eos": bool(body.get("ignore_eos")),
        }
        said = ""
        async for step in await self.engine.async_generate(input_ids=ids, sampling_params=sampling, stream=True):
            new, said = step["text"][len(said) :], step["text"]
            meta = step["meta_info"]
            finish = (meta.get("finish_reason") or {}).get("type")
            yield new, meta["prompt_tokens"], meta["completion_tokens"], finish


class Door:
    """The HTTP side: completions and chat, streamed and not."""

    def __init__(self, engine: Vllm | Sglang, name: str, max_length: int | None) -> None:
        self.engine, self.name, self.max_length = engine, name, max_length

    def application(self) -> web.Application:
        application = web.Application(client_max_size=64 << 20)
        application.router.add_get("/health", self.health)
        application.router.add_get("/v1/models", self.models)
        application.router.add_post("/v1/completions", self.completions)
        application.router.add_post("/v1/chat/completions", self.chat)
        return application

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def models(self, _: web.Request) -> web.Response:
        entry = {"id": self.name, "object": "model", "max_model_len": self.max_length}
        return web.json_response({"object": "list", "data": [entry]})

    async def completions(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = body.get("prompt", "")
        ids = prompt if isinstance(prompt, list) else (await self.engine.tokenizer())(prompt)["input_ids"]
        return await self.answer(request, body, ids, is_chat=False)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        tokenizer = await self.engine.tokenizer()
        text = tokenizer.apply_chat_template(body.get("messages", []), tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        return await self.answer(request, body, ids, is_chat=True)

    async def answer(self, request: web.Request, body: dict, ids: list[int], is_chat: bool) -> web.StreamResponse:
        if self.max_length and len(ids) + tokens_wanted(body) > self.max_length:
            message = f"{len(ids)} prompt tokens and {tokens_wanted(body)} output tokens exceed {self.max_length}"
            return web.json_response({"error": {"message": message}}, status=400)
        is_stream = bool(body.get("stream"))
        kind = ("chat.completion.chunk" if is_stream else "chat.completion") if is_chat else "text_completion"
        envelope = {"id": "offline", "object": kind, "created": int(time.time()), "model": self.name}
        events = self.engine.generate(ids, body)
        if not is_stream:
            text, usage, finish = "", {}, None
            async for new, n_prompt, n_output, finish in events:
                text, usage = text + new, counted(n_prompt, n_output)
            content = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
            choice = {"index": 0, "finish_reason": finish, **content}
            return web.json_response(envelope | {"choices": [choice], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        usage = counted(len(ids), 0)
        try:
            async for new, n_prompt, n_output, finish in events:
                usage = counted(n_prompt, n_output)
                content = {"delta": {"content": new}} if is_chat else {"text": new}
                choice = {"index": 0, "finish_reason": finish, **content}
                # Chunks of several tokens say how many.
                await send(response, envelope | {"choices": [choice], "usage": usage})
        except Exception as error:  # The stream says why; the server goes on.
            await send(response, {"error": {"message": str(error), "type": "server_error"}})
            await response.write_eof()
            return response
        if (body.get("stream_options") or {}).get("include_usage"):
            await send(response, envelope | {"choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response


async def send(response: web.StreamResponse, event: dict) -> None:
    await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")


def tokens_wanted(body: dict) -> int:
    return body.get("max_tokens") or body.get("max_completion_tokens") or 16


def stops(body: dict) -> list[str]:
    stop = body.get("stop") or []
    return [stop] if isinstance(stop, str) else stop


def counted(n_prompt: int, n_output: int) -> dict:
    return {"prompt_tokens": n_prompt, "completion_tokens": n_output, "total_tokens": n_prompt + n_output}


def option(text: str) -> tuple[str, Any]:
    """Reads `name=value`; a value that is JSON is that, any other is text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", required=True, choices=["vllm", "sglang"])
    parser.add_argument("--model", required=True, help="directory or hub id")
    parser.add_argument("--served-model-name", help="model id in answers (default: --model)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--option", action="append", default=[], type=option, help="of the engine: name=value")
    asked = parser.parse_args()
    options = dict(asked.option)

    async def application() -> web.Application:
        # The engine belongs to the loop that serves.
        engine = (Vllm if asked.backend == "vllm" else Sglang)(asked.model, options)
        length = options.get("max_model_len") or options.get("context_length")
        return Door(engine, asked.served_model_name or asked.model, length).application()

    web.run_app(application(), host=asked.host, port=asked.port, print=None, handler_cancellation=True)


if __name__ == "__main__":
    main()
