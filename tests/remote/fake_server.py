"""A server on this machine that speaks as vLLM, llama-server or any other does, faults included. Owns its state.

Words and shapes of what it says are those of vLLM 0.2x (``entrypoints/openai/models/serving.py``) and of llama.cpp's
``tools/server``.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.remote.fake_model import WINDOW, content_of, prompt_of, reply, scores, tokens_of

MODEL = "tiny-llama"


@dataclass(frozen=True)
class Asked:
    """One request that came."""

    method: str
    path: str
    body: dict[str, Any]
    headers: dict[str, str]


Behaviour = Callable[["Talk", dict[str, Any]], None]


@dataclass
class FakeServer:
    """Use as a context manager; ``url`` is its address."""

    kind: str = "vllm"
    model: str = MODEL
    root: str = "/models/tiny"
    """Of vLLM: where the model's weights came from."""
    key: str = ""
    runtime_updating: bool = True
    max_rank: int = 64
    lies: bool = False
    """Whether adapters are loaded and not worn."""
    noise: float = 0.0
    """What two equal questions differ by."""
    token_s: float = 0.0005
    started_with: Callable[[], list[tuple[str, Path]]] = list
    """Of llama-server: each adapter's file as it was named, and the folder that it was exported from."""
    loaded: dict[str, str] = field(default_factory=dict)
    """Of vLLM: each adapter's name to its path."""
    asked: list[Asked] = field(default_factory=list)
    gone: int = 0
    """Connections that a client left before their end."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set at the end: what stalls goes on then."""
    _instead: dict[str, deque[Behaviour]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> FakeServer:
        server = self

        class Bound(Talk):
            owner = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._http.daemon_threads = True
        self._http.handle_error = _hung_up  # type: ignore[method-assign]
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._http.shutdown()
        self._http.server_close()

    def secure(self, certificate: Path, key: Path) -> None:
        """Speak https from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._http.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.place}/v1"

    def instead(self, path: str, *behaviours: Behaviour) -> None:
        """Let the next requests to ``path`` be met by these, one after the other."""
        with self._lock:
            self._instead.setdefault(path, deque()).extend(behaviours)

    def sent(self, path: str) -> list[dict[str, Any]]:
        """The bodies that came to ``path``."""
        return [each.body for each in self.asked if each.path == path]

    def next_behaviour(self, path: str) -> Behaviour | None:
        with self._lock:
            waiting = self._instead.get(path)
            return waiting.popleft() if waiting else None


def _hung_up(request: object, client_address: object) -> None:
    """A client that left is counted, not told on the screen."""


def exports_of(folders: list[Path]) -> list[tuple[str, Path]]:
    """These adapters as far as they are still there, as if a server had been started with their exports."""
    files = [(folder, folder / "adapter_model.safetensors") for folder in folders]
    return [
        (f"/exports/{folder.name}-{_sha256(file, file.stat().st_mtime_ns)[:12]}.gguf", folder)
        for folder, file in files
        if file.is_file()
    ]


@lru_cache(1000)
def _sha256(file: Path, _written: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class Talk(BaseHTTPRequestHandler):
    """One connection."""

    owner: FakeServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._met("GET", {})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", "0")))
        self._met("POST", json.loads(raw.decode("utf-8")))

    def _met(self, method: str, body: dict[str, Any]) -> None:
        path = self.path.partition("?")[0]
        self.owner.asked.append(Asked(method, path, body, {name.lower(): each for name, each in self.headers.items()}))
        try:
            if (behaviour := self.owner.next_behaviour(path)) is not None:
                behaviour(self, body)
                return
            if self.owner.key and self.headers.get("authorization") != f"Bearer {self.owner.key}":
                self.json({"error": "Unauthorized"}, 401)
                return
            self._route(path, body)
        except (BrokenPipeError, ConnectionResetError):
            self.owner.gone += 1
            self.close_connection = True

    def _route(self, path: str, body: dict[str, Any]) -> None:
        routes: dict[str, Callable[[dict[str, Any]], None]] = {
            "/v1/models": self._models,
            "/v1/chat/completions": self.chat,
        }
        if self.owner.kind == "vllm":
            routes["/tokenize"] = self._vllm_tokenize
            if self.owner.runtime_updating:
                routes |= {"/v1/load_lora_adapter": self._load, "/v1/unload_lora_adapter": self._unload}
        if self.owner.kind == "llama-server":
            routes |= {
                "/props": self._props,
                "/lora-adapters": self._adapters,
                "/apply-template": self._template,
                "/tokenize": self._llama_tokenize,
            }
        found = routes.get(path)
        if found is None:
            self.json({"detail": "Not Found"}, 404)
        else:
            found(body)

    # what is said

    def json(self, value: object, status: int = 200) -> None:
        self.text(json.dumps(value), status, "application/json")

    def error(self, status: int, message: str, kind: str, **more: object) -> None:
        self.json({"error": {"message": message, "type": kind, "param": None, "code": status, **more}}, status)

    def text(self, text: str, status: int = 200, kind: str = "text/plain; charset=utf-8", **headers: str) -> None:
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def begin_events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def raw(self, text: str) -> None:
        """One piece of a stream as it stands."""
        raw = text.encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(raw), raw))
        self.wfile.flush()

    def event(self, value: object) -> None:
        self.raw(f"data: {json.dumps(value)}\n\n")

    def end_events(self, done: str = "data: [DONE]\n\n") -> None:
        if done:
            self.raw(done)
        self.wfile.write(b"0\r\n\r\n")

    def piece(self, text: str, reason: str | None = None, **more: object) -> None:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
        self.event({"object": "chat.completion.chunk", "model": self.owner.model, "choices": [choice], **more})

    # the routes

    def _models(self, _: dict[str, Any]) -> None:
        owner = self.owner
        card: dict[str, Any] = {"id": owner.model, "object": "model", "owned_by": "somebody"}
        if owner.kind == "vllm":
            card |= {"owned_by": "vllm", "root": owner.root, "parent": None, "max_model_len": WINDOW}
        if owner.kind == "llama-server":
            card |= {
                "owned_by": "llamacpp",
                "aliases": [MODEL, "tiny"],
                "meta": {"n_ctx_train": 8192, "n_params": 12_345},
            }
        loras = [
            {"id": name, "object": "model", "owned_by": "vllm", "root": path, "parent": owner.model}
            for name, path in owner.loaded.items()
        ]
        self.json({"object": "list", "data": [card, *loras]})

    def chat(self, body: dict[str, Any]) -> None:
        owner, messages = self.owner, body["messages"]
        worn = self._worn(body)
        if worn is None:
            self.error(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
            return
        if body.get("logprobs"):
            top = scores(messages[-1]["content"], worn, owner.noise)
            content = [{"token": top[0]["token"], "logprob": top[0]["logprob"], "top_logprobs": top}]
            message = {"role": "assistant", "content": top[0]["token"]}
            self.json({"choices": [{"index": 0, "message": message, "logprobs": {"content": content}}]})
            return
        prefilled = owner.kind == "llama-server" and messages[-1]["role"] == "assistant"
        goes_on = bool(body.get("continue_final_message")) or prefilled
        prompt = len(tokens_of(prompt_of(messages, opens=not goes_on)))
        if self._is_too_long(prompt, body):
            return
        pieces, reason = reply(messages, worn, body, goes_on=goes_on)
        self.begin_events()
        for count, piece in enumerate(pieces, 1):
            time.sleep(owner.token_s)
            self.piece(piece, **self._figures(prompt, count, body, last=False))
        self.piece("", reason)
        if (body.get("stream_options") or {}).get("include_usage"):
            self.event({"object": "chat.completion.chunk", "choices": [], **self._figures(prompt, len(pieces), body)})
        self.end_events()

    def _figures(self, prompt: int, count: int, body: dict[str, Any], *, last: bool = True) -> dict[str, Any]:
        if not last and self.owner.kind == "llama-server" and body.get("timings_per_token"):
            return {"timings": {"cache_n": 2, "prompt_n": prompt - 2, "predicted_n": count}}
        if not last and not (body.get("stream_options") or {}).get("continuous_usage_stats"):
            return {}
        details = {"cached_tokens": 2}
        return {"usage": {"prompt_tokens": prompt, "completion_tokens": count, "prompt_tokens_details": details}}

    def _is_too_long(self, prompt: int, body: dict[str, Any]) -> bool:
        if self.owner.kind == "llama-server" and prompt >= WINDOW:
            said = f"request ({prompt} tokens) exceeds the available context size ({WINDOW} tokens), try increasing it"
            self.error(400, said, "exceed_context_size_error", n_prompt_tokens=prompt, n_ctx=WINDOW)
            return True
        wanted = int(body.get("max_tokens") or 0)
        if self.owner.kind == "llama-server" or prompt + wanted <= WINDOW:
            return False
        self.error(
            400,
            f"This model's maximum context length is {WINDOW} tokens. However, you requested {wanted} output tokens "
            f"and your prompt contains at least {prompt} input tokens, in all at least {prompt + wanted} tokens.",
            "BadRequestError",
        )
        return True

    def _worn(self, body: dict[str, Any]) -> str | None:
        """What decides the words beside the prompt; None for a model that is not there."""
        owner = self.owner
        if owner.kind == "llama-server":
            started = owner.started_with()
            asked = body.get("lora")
            scales = (
                {each["id"]: each["scale"] for each in asked}
                if asked is not None
                else dict.fromkeys(range(len(started)), 1.0)
            )
            wears = {at: scale for at, scale in scales.items() if scale and content_of(started[at][1])}
            return (
                ""
                if owner.lies or not wears
                else repr([(content_of(started[at][1]), scale) for at, scale in sorted(wears.items())])
            )
        if body["model"] in owner.loaded:
            return "" if owner.lies else content_of(Path(owner.loaded[body["model"]]))
        return "" if body["model"] == self.owner.model else None

    def _vllm_tokenize(self, body: dict[str, Any]) -> None:
        tokens = tokens_of(prompt_of(body["messages"], opens=not body.get("continue_final_message")))
        self.json({"count": len(tokens), "max_model_len": WINDOW, "tokens": tokens})

    def _load(self, body: dict[str, Any]) -> None:
        owner, name, path = self.owner, body["lora_name"], Path(body["lora_path"])
        if name in owner.loaded:
            self.error(400, f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in "
                            "place, set 'load_inplace' to True.", "InvalidUserInput")  # fmt: skip
            return
        if not (path / "adapter_config.json").is_file():
            self.error(404, f"Loading lora {name} failed: No adapter found for {path}", "NotFoundError")
            return
        rank = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))["r"]
        if rank > owner.max_rank:
            said = f"LoRA rank {rank} is greater than max_lora_rank {owner.max_rank}."
            self.error(500, said, "InternalServerError")
            return
        owner.loaded[name] = str(path)
        self.text(f"Success: LoRA adapter '{name}' added successfully.")

    def _unload(self, body: dict[str, Any]) -> None:
        name = body["lora_name"]
        if self.owner.loaded.pop(name, None) is None:
            self.error(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
            return
        self.text(f"Success: LoRA adapter '{name}' removed successfully.")

    def _props(self, _: dict[str, Any]) -> None:
        self.json({"default_generation_settings": {"n_ctx": WINDOW}, "total_slots": 1, "model_path": "/m/tiny.gguf"})

    def _adapters(self, _: dict[str, Any]) -> None:
        started = self.owner.started_with()
        self.json([{"id": at, "path": path, "scale": 1.0} for at, (path, _) in enumerate(started)])

    def _template(self, body: dict[str, Any]) -> None:
        self.json({"prompt": prompt_of(body["messages"], opens=body["messages"][-1]["role"] != "assistant")})

    def _llama_tokenize(self, body: dict[str, Any]) -> None:
        self.json({"tokens": tokens_of(body["content"])})
