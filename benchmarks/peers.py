"""Three programs that make the same reply. Owns how each is opened and timed; never starts a process or prints.

Runs under this project's interpreter and under the one that has llama-cpp-python, so that everything but the standard
library is imported where it is used.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

TRANSFORMERS, LORA_CHAT, LLAMA = "transformers", "lora-chat", "llama.cpp"


@dataclass(frozen=True)
class Prompt:
    """A conversation, as messages and as the tokens they make."""

    messages: tuple[tuple[str, str], ...]
    """Role and text of each."""
    ids: tuple[int, ...]

    def then(self, reply: Reply, text: str, between: Sequence[int], end_ids: Sequence[int]) -> Prompt:
        """The next turn: ``reply`` was given, then ``text`` asked; ``between`` is what lies between the two's ids."""
        said = reply.ids[:-1] if reply.ids and reply.ids[-1] in end_ids else reply.ids
        return Prompt(
            messages=(*self.messages, ("assistant", reply.text), ("user", text)), ids=(*self.ids, *said, *between)
        )


@dataclass(frozen=True)
class Reply:
    """What a peer made of a prompt, and how fast."""

    made: int
    """Tokens, the one that ends the turn included."""
    first_ms: float
    ms_per_token: float | None
    """Over all tokens but the first; None under two tokens."""
    prompt_tokens: int
    cached_tokens: int
    """Prompt tokens that were not computed again."""
    ids: tuple[int, ...] = ()
    """Empty where the program gives text only."""
    text: str = ""
    """Empty where the program gives ids only."""


@dataclass(frozen=True)
class Subject:
    """A model in each peer's form, one adapter for it in each peer's form, and where they lie."""

    shape: str
    home: str
    """``LORA_CHAT_HOME`` in which lora-chat finds ``base``; empty for the person's own."""
    base: str
    folder: str
    """What transformers loads."""
    gguf: str
    """What llama.cpp loads; empty where there is none."""
    adapter: str
    """A PEFT folder."""
    adapter_sha256: str
    adapter_gguf: str
    end_ids: tuple[int, ...]
    prompt: Prompt

    def save(self, file: Path) -> None:
        """As JSON, for the workers."""
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")


def load_subject(file: Path) -> Subject:
    """What ``Subject.save`` wrote."""
    found = json.loads(file.read_text(encoding="utf-8"))
    return Subject(**{**found, "prompt": prompt_from(found["prompt"]), "end_ids": tuple(found["end_ids"])})


def prompt_from(found: dict[str, Any]) -> Prompt:
    """A prompt out of its JSON."""
    return Prompt(tuple((role, text) for role, text in found["messages"]), tuple(found["ids"]))


class Peer(Protocol):
    """A program with a model loaded, wearing an adapter or none."""

    about: dict[str, Any]
    """Threads, data type, version."""

    def reply(self, prompt: Prompt, tokens: int) -> Reply:
        """Greedily make at most ``tokens`` tokens."""

    def logits(self, ids: Sequence[int]) -> Any:
        """Of the token after ``ids``, a float32 array (vocab,)."""


def open_peer(kind: str, subject: Subject, precision: str, *, worn: bool, window: int = 512) -> Peer:
    """Load the model; ``window`` bounds the context of the peer that must be told."""
    if kind == TRANSFORMERS:
        return Transformers(subject, worn=worn)
    if kind == LORA_CHAT:
        return LoraChat(subject, precision, worn=worn)
    return Llama(subject, worn=worn, window=window)


class Transformers:
    """``generate`` in fp32, an adapter worn through an un-merged ``PeftModel``."""

    def __init__(self, subject: Subject, *, worn: bool) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        model: Any = AutoModelForCausalLM.from_pretrained(subject.folder, dtype=torch.float32, local_files_only=True)
        if worn:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, subject.adapter)
        self._model = model.eval()
        self.about = {"threads": torch.get_num_threads(), "dtype": "float32"}

    def reply(self, prompt: Prompt, tokens: int) -> Reply:
        """See ``Peer.reply``; nothing is kept from one call to the next."""
        import torch

        stamps = _Stamps()
        ids = torch.tensor([list(prompt.ids)])
        began = time.perf_counter()
        made = self._model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=tokens,
            streamer=stamps,
        )
        new = tuple(made[0, len(prompt.ids) :].tolist())
        return _timed(began, stamps.at[1:], prompt, new)  # the first call brings the prompt

    def logits(self, ids: Sequence[int]) -> Any:
        """See ``Peer.logits``."""
        import torch

        with torch.inference_mode():
            return self._model(input_ids=torch.tensor([list(ids)])).logits[0, -1].float().numpy()


class _Stamps:
    """A streamer that only takes the time."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def put(self, value: Any) -> None:
        """Called with the prompt, then with each token."""
        self.at.append(time.perf_counter())

    def end(self) -> None:
        """Called at the end."""


class LoraChat:
    """This project's engine, in this process."""

    def __init__(self, subject: Subject, precision: str, *, worn: bool) -> None:
        from lora_chat.engine.factory import open_local_for
        from lora_chat.engine.protocol import Worn
        from lora_chat.models.installed import find_base
        from lora_chat.paths import find_paths

        paths = find_paths({"LORA_CHAT_HOME": subject.home} if subject.home else os.environ)
        asked: Any = precision
        self._engine = open_local_for(find_base(paths.models, subject.base), paths, asked)
        info = self._engine.load()
        self._worn = Worn("bench", Path(subject.adapter), subject.adapter_sha256, 1.0) if worn else None
        self.about = {"threads": info.threads, "decoding": info.decoding, "load_s": round(info.load_seconds, 3)}

    def reply(self, prompt: Prompt, tokens: int) -> Reply:
        """See ``Peer.reply``."""
        from lora_chat.chat.conversation import Role, Turn
        from lora_chat.engine.protocol import Finished, Request, Sampling, TextChunk

        messages = tuple(Turn(Role(role), text) for role, text in prompt.messages)
        request = Request(messages, self._worn, Sampling(temperature=0.0, max_tokens=tokens))
        chunks = list(self._engine.generate(request))
        last = chunks[-1]
        assert isinstance(last, Finished)
        assert last.first_token_ms is not None
        return Reply(
            made=last.generated_tokens,
            first_ms=last.first_token_ms,
            ms_per_token=1000 / last.tokens_per_second if last.tokens_per_second else None,
            prompt_tokens=last.prompt_tokens,
            cached_tokens=last.cached_tokens,
            text="".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk)),
        )

    def logits(self, ids: Sequence[int]) -> Any:
        """An engine gives none."""
        raise NotImplementedError


class Llama:
    """llama.cpp through llama-cpp-python, on every core."""

    def __init__(self, subject: Subject, *, worn: bool, window: int) -> None:
        library = importlib.import_module("llama_cpp")
        self._library = library
        self._end_ids = frozenset(subject.end_ids)
        threads = os.cpu_count() or 1  # its own default is half of them
        self._settings: dict[str, Any] = {
            "model_path": subject.gguf,
            "lora_path": subject.adapter_gguf if worn else None,
            "n_threads": threads,
            "n_threads_batch": threads,
            "verbose": False,
        }
        self._llama = library.Llama(n_ctx=window, **self._settings)
        self.about = {"threads": threads, "version": str(library.__version__)}

    def reply(self, prompt: Prompt, tokens: int) -> Reply:
        """See ``Peer.reply``; it keeps the keys and values of the last prompt and reply."""
        ids = list(prompt.ids)
        held = [int(token) for token in self._llama.input_ids[: self._llama.n_tokens]]
        shared = min(_shared(held, ids), len(ids) - 1)
        at: list[float] = []
        made: list[int] = []
        began = time.perf_counter()
        for token in self._llama.generate(ids, temp=0.0, repeat_penalty=1.0):
            at.append(time.perf_counter())
            made.append(token)
            if len(made) == tokens or token in self._end_ids:
                break
        figures = self._library.llama_perf_context(self._llama.ctx)
        if figures.n_eval:
            self.about["decode_only_ms_per_token"] = figures.t_eval_ms / figures.n_eval
        return replace(_timed(began, at, prompt, tuple(made)), cached_tokens=shared)

    def logits(self, ids: Sequence[int]) -> Any:
        """See ``Peer.logits``; by a second context, since the first gives none to Python."""
        llama = self._library.Llama(n_ctx=max(64, len(ids)), logits_all=True, **self._settings)
        llama.eval(list(ids))
        return llama.scores[len(ids) - 1].copy()


def _shared(some: Sequence[int], other: Sequence[int]) -> int:
    count = 0
    for one, two in zip(some, other, strict=False):
        if one != two:
            break
        count += 1
    return count


def _timed(began: float, at: list[float], prompt: Prompt, ids: tuple[int, ...]) -> Reply:
    return Reply(
        made=len(ids),
        first_ms=(at[0] - began) * 1000,
        ms_per_token=(at[-1] - at[0]) * 1000 / (len(at) - 1) if len(at) > 1 else None,
        prompt_tokens=len(prompt.ids),
        cached_tokens=0,
        ids=ids,
    )
