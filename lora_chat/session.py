"""One chat turn from prompt to saved reply. Owns the order of those steps; never draws, and knows no engine by name.

The person's turn is durable before anything is generated; the reply's row exists from its start and is flushed each
second, so that whatever happens loses at most one second of it. The chat and ``ask`` come through here;
the server keeps nothing, and asks the engine itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial

from lora_chat.adapters.mixture import Share, written
from lora_chat.adapters.registry import Adapter
from lora_chat.chat.context import Context, fit, start_of
from lora_chat.chat.conversation import Conversation, Message, Role, Status, Turn
from lora_chat.chat.growing import Growing, as_it_was, goes_on
from lora_chat.chat.preset import turns_of
from lora_chat.chat.rows import AnswerFields
from lora_chat.chat.store import Store
from lora_chat.config import Config
from lora_chat.engine.chunks import added_figures, cleaned, figures_of, status_of
from lora_chat.engine.protocol import Chunk, Engine, Finished, Request, Sampling, TextChunk, Worn
from lora_chat.errors import EngineError, LoraChatError, RefusedError
from lora_chat.models.answering import Telling

FLUSH_S = 1.0
"""A running reply is written to the disk this often."""


@dataclass(frozen=True)
class Wearing:
    """What a turn wears, as the person chose it: one adapter, or a mixture of several."""

    adapter: Adapter
    """The one; of a mixture the one with the largest share, which says how it wants to be worn."""
    scale: float = 1.0
    mixture: tuple[tuple[Adapter, float], ...] = ()
    """All of a mixture, ``adapter`` among them, with their shares; empty where one is worn alone."""

    @property
    def name(self) -> str:
        """Of the adapter; of a mixture its shares, as ``a=0.7+b=0.3``."""
        return written([Share(each.name, share) for each, share in self.mixture]) or self.adapter.name

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """Everything that is worn, the largest share first."""
        largest_first = sorted(self.mixture, key=lambda part: -abs(part[1]))
        return tuple(each for each, _ in largest_first) or (self.adapter,)

    @property
    def sha256(self) -> str:
        """Of the weights, in hex; of a mixture all of them, with plus signs between."""
        return "+".join(each.sha256 for each, _ in self.mixture) or self.adapter.sha256

    @property
    def system_prompt(self) -> str:
        """What it wants said first; of a mixture the largest share decides, as when it is saved."""
        return self.adapter.system_prompt

    @property
    def temperature(self) -> float | None:
        """What it wants to be sampled at; as ``system_prompt``."""
        return self.adapter.temperature

    def with_(self, adapter: Adapter) -> Wearing:
        """The same with ``adapter`` in the place of the one of its name."""
        own = adapter if self.adapter.name == adapter.name else self.adapter
        mixture = ((adapter if each.name == adapter.name else each, share) for each, share in self.mixture)
        return replace(self, adapter=own, mixture=tuple(mixture))

    @property
    def worn(self) -> Worn:
        """The same for the engine."""
        parts = self.mixture or ((self.adapter, 1.0),)
        first, *others = (Worn(each.name, each.path, each.sha256, share * self.scale) for each, share in parts)
        return replace(first, beside=tuple(others))


@dataclass(frozen=True)
class Started:
    """The person's message is durable and the reply has a row."""

    prompt: Message
    reply: Message


@dataclass(frozen=True)
class Ended:
    """The reply is durable in its last form."""

    reply: Message
    finished: Finished
    left_out: int = 0
    """The conversation's oldest messages that were not in the prompt, as they no longer fit."""


@dataclass(frozen=True)
class LeftOut:
    """The conversation outgrew the window: from this answer on its oldest messages are not in the prompt."""

    reply: Message
    """Its ``context_start`` is the first message that is."""
    messages: int
    """How many are not."""

    @property
    def sentence(self) -> str:
        """What the person is told."""
        what = "oldest message is" if self.messages == 1 else f"{self.messages:,} oldest messages are"
        return f"The context was full: the {what} no longer read."


TurnEvent = Started | LeftOut | TextChunk | Ended


@dataclass(frozen=True)
class Draft:
    """An answer that is written and that nothing keeps."""

    text: str
    status: Status
    came: AnswerFields
    """How it came to be, as a kept answer has it."""


@dataclass(frozen=True)
class Session:
    """Where turns happen: one store, one engine, the person's settings."""

    store: Store
    engine: Engine
    config: Config
    base: str
    """The base model's name, kept with each reply."""
    window: int
    """Tokens that a conversation and its answer may take together."""
    told: Telling | None = None
    """Tells both where the engine knows them better: a server's are its own."""

    def send(
        self,
        conversation: Conversation,
        text: str,
        wearing: Wearing | None,
        sampling: Sampling,
        cancel: threading.Event | None = None,
        instead_of: Message | None = None,
    ) -> Iterator[TurnEvent]:
        """Say ``text`` and make the answer; ``instead_of`` is a message in whose place it is said, beside it.

        Raises:
            RefusedError: there is nothing to say, it is too long for the context, or the engine refuses: then nothing
                was said, and the text is the caller's again.
            EngineError: the engine failed; the partial answer is kept.
        """
        if not text.strip():
            raise RefusedError("There is nothing to answer: write a message.")
        parent = conversation.head if instead_of is None else instead_of.parent
        prompt = self.store.add_message(conversation.id, Role.USER, text, parent=parent)
        yield from self._answer(conversation, prompt, wearing, sampling, cancel, prompt.id)

    def retry(
        self,
        conversation: Conversation,
        wearing: Wearing | None,
        sampling: Sampling,
        cancel: threading.Event | None = None,
        question: Message | None = None,
    ) -> Iterator[TurnEvent]:
        """Answer ``question``, by default the last one, again; the new answer is a sibling. Raises as ``send``."""
        if question is None:
            asked = [message for message in self.store.branch(conversation.id) if message.role is Role.USER]
            if not asked:
                raise RefusedError("There is nothing to answer again: write a message first.")
            question = asked[-1]
        yield from self._answer(conversation, question, wearing, sampling, cancel)

    def go_on(
        self,
        conversation: Conversation,
        answer: Message,
        wearing: Wearing | None,
        sampling: Sampling,
        cancel: threading.Event | None = None,
    ) -> Iterator[TurnEvent]:
        """Let ``answer`` go on where it ends, in the same message.

        Raises as ``send``; where nothing was added, for whatever reason, the answer then is as it was.
        """
        *before, old = self.store.branch(conversation.id, answer.id)
        reply = goes_on(self.store, old)
        find = partial(self._fit, [*before, reply], conversation, wearing, sampling, continues=True)
        added = False
        try:
            for event in self._stream(Started(before[-1], reply), find, wearing, sampling, cancel, old):
                added = added or (isinstance(event, TextChunk) and bool(event.text.strip()))
                if isinstance(event, Ended) and not added:
                    event = replace(event, reply=as_it_was(self.store, old, ended=event.finished.reason == "stop"))
                yield event
        except BaseException:
            if not added:
                as_it_was(self.store, old)
            raise

    def _answer(
        self,
        conversation: Conversation,
        prompt: Message,
        wearing: Wearing | None,
        sampling: Sampling,
        cancel: threading.Event | None,
        *asked: int,
    ) -> Iterator[TurnEvent]:
        """``asked`` are messages that go with the answer if it is refused."""
        branch = self.store.branch(conversation.id, prompt.id)
        reply = self.store.add_message(
            conversation.id,
            Role.ASSISTANT,
            "",
            parent=prompt.id,
            status=Status.STREAMING,
            **self._made_by(wearing, sampling, start_of(branch, self.name), self.name),  # until that is counted
        )
        try:
            find = partial(self._fit, branch, conversation, wearing, sampling)
            yield from self._stream(Started(prompt, reply), find, wearing, sampling, cancel)
        except RefusedError:
            if not self.store.message(reply.id).content:
                self.store.take_back(conversation, *asked, reply.id)
            raise

    def _stream(
        self,
        started: Started,
        find_context: Callable[[], Context],
        wearing: Wearing | None,
        sampling: Sampling,
        cancel: threading.Event | None,
        old: Message | None = None,
    ) -> Iterator[TurnEvent]:
        """``old`` is the answer that goes on, as it was."""
        reply, text, flushed = started.reply, started.reply.content, time.monotonic()
        made_by = self._made_by(wearing, sampling, reply.context_start, self.name) if old else None
        row = Growing(self.store, reply, made_by)
        finished: Finished | None = None
        try:
            yield started
            context = find_context()  # waits for an engine that is loading: the person's message is told before
            base, before = (self.answerer()[0] if old is None else reply.base), reply.context_start
            if (context.start, base) != (before, reply.base):
                row = replace(row, made_by=row.made_by and row.made_by | {"context_start": context.start})
                reply = self.store.update_message(reply.id, context_start=context.start, base=base)
            if context.start != before:
                yield LeftOut(reply, context.left_out)
            request = Request(context.messages, wearing.worn if wearing else None, sampling)
            if old is not None:
                request = replace(request, continues=True, past_end=old.base is None or old.finish_reason == "stop")
            with closing(self._generated(request, cancel)) as chunks:
                for chunk in cleaned(chunks, begun=bool(text)):
                    if isinstance(chunk, Finished):
                        finished = chunk
                        break
                    text += chunk.text
                    if time.monotonic() - flushed >= FLUSH_S:
                        row.keep(text)
                        flushed = time.monotonic()
                    yield chunk
            assert finished is not None
        except (GeneratorExit, KeyboardInterrupt):
            row.keep(text.strip(), status=Status.STOPPED, finish_reason="cancelled")
            raise
        except Exception as error:
            said = str(error) if isinstance(error, LoraChatError) else f"The engine failed ({type(error).__name__})."
            row.keep(text.strip(), status=Status.FAILED, finish_reason="error", error=said)
            raise
        figures = added_figures(old, sampling, finished) if old else figures_of(sampling, finished)
        yield Ended(row.keep(text.strip(), status=status_of(finished), **figures), finished, context.left_out)

    def _generated(self, request: Request, cancel: threading.Event | None) -> Generator[Chunk, None, None]:
        """The engine's chunks; closing it closes them, so that the engine is free before the row says so."""
        yield from self.engine.generate(request, cancel)

    @property
    def name(self) -> str:
        """Who answers, as far as that is known by now."""
        return self.told.served.name if self.told is not None else self.base

    def answerer(self) -> tuple[str, int]:
        """Who answers and its window in tokens; of a server that is asked. Raises as ``Engine.load``."""
        found = self.told.meet() if self.told is not None else None
        return (found.name, found.window) if found is not None else (self.base, self.window)

    def _made_by(self, wearing: Wearing | None, sampling: Sampling, start: int | None, base: str) -> AnswerFields:
        return {
            "base": base,
            "context_start": start,
            "sampling": json.dumps(asdict(sampling)),
            "adapter": wearing.name if wearing else None,
            "adapter_sha256": wearing.sha256 if wearing else None,
            "scale": wearing.scale if wearing else None,
        }

    def draft(
        self,
        question: Message,
        wearing: Wearing | None,
        sampling: Sampling,
        cancel: threading.Event | None = None,
    ) -> Iterator[TextChunk | Draft]:
        """Answer ``question`` as a turn would, and keep nothing: its pieces, then the whole. Raises as ``send``."""
        branch = self.store.branch(question.conversation, question.id)
        context = self._fit(branch, self.store.conversation(question.conversation), wearing, sampling)
        request, text = Request(context.messages, wearing.worn if wearing else None, sampling), ""
        with closing(self._generated(request, cancel)) as chunks:
            for chunk in cleaned(chunks):
                if isinstance(chunk, Finished):
                    came = self._made_by(wearing, sampling, context.start, self.name) | figures_of(sampling, chunk)
                    yield Draft(text.strip(), status_of(chunk), came)
                    return
                text += chunk.text
                yield chunk

    def system(self, conversation: Conversation | None, wearing: Wearing | None) -> str:
        """The one that holds: the preset's, else the person's own, else the adapter's, else that of the settings."""
        own = conversation.system if conversation else ""
        return own or (wearing.system_prompt if wearing else "") or self.config.system

    def opening(self, conversation: Conversation | None, wearing: Wearing | None) -> tuple[Turn, ...]:
        """What each prompt begins with: the system prompt that holds, then the examples of the preset, if any."""
        system = self.system(conversation, wearing)
        examples = turns_of(conversation.examples) if conversation else ()
        return (Turn(Role.SYSTEM, system), *examples) if system else examples

    def prefill(
        self,
        conversation: Conversation | None,
        wearing: Wearing | None,
        sampling: Sampling,
        cancel: threading.Event | None = None,
        counted: Callable[[int], object] = lambda tokens: None,
    ) -> int:
        """Have the engine read what the next prompt begins with, before that is written; returns its tokens.

        Reading a long one takes seconds: ``counted`` is told before how many there are, where something was said.

        Raises:
            RefusedError: the last message alone is too long; else as ``Engine.prepare``.
        """
        if not self.engine.is_running:  # counting would start it
            raise EngineError("The engine is not running: the next message starts it.")
        context = self.context(conversation, wearing, sampling)
        if context.tokens:
            counted(context.tokens)
        return self.engine.prepare(context.messages, wearing.worn if wearing else None, cancel)

    def context(self, conversation: Conversation | None, wearing: Wearing | None, sampling: Sampling) -> Context:
        """What of the visible branch goes into the next prompt, as far as that is known before it is written.

        Raises:
            RefusedError: the last message alone is too long.
        """
        branch = self.store.branch(conversation.id) if conversation else []
        return self._fit(branch, conversation, wearing, sampling)

    def _fit(
        self,
        branch: list[Message],
        conversation: Conversation | None,
        wearing: Wearing | None,
        sampling: Sampling,
        *,
        continues: bool = False,
    ) -> Context:
        opening, preset = self.opening(conversation, wearing), conversation.preset if conversation else ""
        count, longest = self.engine.count_tokens, sampling.max_tokens
        if continues:
            count = partial(count, continues=True)
        base, window = self.answerer()
        return fit(branch, opening, base, window, longest, count, preset, continues=continues)


def choose_sampling(config: Config, wearing: Wearing | None, **asked: object) -> Sampling:
    """What the person asked for, else what the adapter suggests, else the settings; None asks for nothing."""
    suggested = wearing.temperature if wearing else None
    settings: dict[str, object] = {
        "temperature": config.temperature if suggested is None else suggested,
        "top_p": config.top_p,
        "top_k": config.top_k,
        "repetition_penalty": config.repetition_penalty,
        "max_tokens": config.max_tokens,
    }
    settings |= {name: value for name, value in asked.items() if value is not None}
    return Sampling(**settings)  # type: ignore[arg-type]
