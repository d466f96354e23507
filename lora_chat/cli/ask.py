"""``lora-chat ask``: one answer. Owns the flags and the JSON of an answer; the turn itself is ``session``'s."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_chat.cli import names
from lora_chat.config import Precision

if TYPE_CHECKING:
    from lora_chat.chat.conversation import Conversation, Message
    from lora_chat.chat.rows import ConversationFields
    from lora_chat.chat.store import Store
    from lora_chat.engine.protocol import Finished
    from lora_chat.services import Services
    from lora_chat.session import Session, Wearing

_PATIENCE_S = 2.0
"""How long what was begun may take to end by itself once SIGTERM came."""


def ask(
    prompt: Annotated[
        str | None, typer.Argument(help="The question; what comes through a pipe is added to it.")
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            "--adapter",
            "-a",
            help="Wear NAME or NAME=SCALE; several: A=0.7+B=0.3; empty takes it off.",
            autocompletion=names.adapters,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Base model.", autocompletion=names.bases)] = None,
    system: Annotated[str | None, typer.Option("--system", "-s", help="System prompt.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Begin with this preset's system prompt and examples; empty takes it off.")
    ] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", "-t", help="0 is greedy.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Keep the likeliest tokens up to this share.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Keep this many likeliest tokens; 0 keeps all.")] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="1 is off.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer.")] = None,
    precision: Annotated[Precision | None, typer.Option(help="Decode in this; auto is as good and fastest.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same answer.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End before this text; may be given several times.")] = None,
    conversation: Annotated[
        str | None,
        typer.Option(
            "--conversation",
            "-c",
            help="Go on with this one.",
            autocompletion=names.conversations,
        ),
    ] = None,
    no_save: Annotated[bool, typer.Option("--no-save", help="Keep nothing.")] = False,
    batch: Annotated[Path | None, typer.Option(help="JSONL file: one question a line, one JSON answer a line.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Pull a missing base model without asking.")] = False,
) -> None:
    """Answer one question, or one for each line of a file."""
    from lora_chat.chat.preset import chosen, read_preset
    from lora_chat.cli.batch import Flags, answer_batch
    from lora_chat.cli.console import note
    from lora_chat.cli.model import base_to_answer
    from lora_chat.engine.protocol import check_wishes
    from lora_chat.errors import UsageError
    from lora_chat.services import open_services

    wishes = {
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "repetition_penalty": repetition_penalty,
        "max_tokens": max_tokens,
        "seed": seed,
        "stop": tuple(stop) if stop else None,
    }
    if batch is not None and (prompt is not None or conversation is not None):
        raise UsageError("--batch takes its questions from the file: give no prompt and no --conversation with it.")
    check_wishes(wishes)
    text = None if batch is not None else _question(prompt)
    with open_services() as services:
        current = services.store.conversation(conversation) if conversation else None
        # Whatever can be refused is refused before the model is loaded.
        wearing = _chosen(services, adapter, current)
        begun = read_preset(preset, services.paths) if preset else None
        base = base_to_answer(services, model, current.model if current else "", yes=yes)
        if services.is_served:
            services.engine_here(base, precision)
        who = services.answerer(base)
        if wearing is not None:
            for doubt in services.check_fit(wearing, who):  # as nobody can be asked
                note(doubt)
        if batch is not None:
            flags = Flags(adapter, system, begun, wishes)
            answer_batch(batch, services, who.name, services.engine_here(base, precision), flags)
            return
        assert text is not None
        session = services.session(services.engine_here(base, precision), base, save=not no_save)
        if no_save and current is not None:
            current = _copied(services.store.branch(current.id), session.store, current)
        changes = chosen(begun, current) if preset is not None else {}
        if system is not None:
            changes |= {"system": system, "own_system": None}
        current = _conversation(session.store, current, changes, who.name, wearing)
        _answer(session, current, text, wearing, wishes, as_json=json, saved=not no_save)


def _question(prompt: str | None) -> str:
    """The argument, then what came through a pipe."""
    from lora_chat.errors import UsageError
    from lora_chat.text import clean

    piped = "" if sys.stdin.isatty() else sys.stdin.read()
    text = "\n\n".join(part for part in (clean(prompt or ""), clean(piped).strip()) if part.strip())
    if not text:
        raise UsageError('There is no question: lora-chat ask "How do I return an order?"')
    return text


def _chosen(services: Services, adapter: str | None, conversation: Conversation | None) -> Wearing | None:
    """What was asked for, where an empty name takes it off; else a conversation goes on wearing what it wore.

    Raises:
        NotFoundError: that is gone, saying how the base goes on.
    """
    from lora_chat.errors import NotFoundError
    from lora_chat.text import clean_line

    if adapter is not None:
        return services.wear(adapter) if adapter else None
    if conversation is None or conversation.adapter is None:
        return None
    try:
        return services.wear(conversation.adapter, conversation.scale)
    except NotFoundError as error:
        raise NotFoundError(
            f"The conversation {conversation.id} wears {clean_line(conversation.adapter, 80)}, which is no longer "
            'installed: install it again, or let the base go on with -a "".'
        ) from error


def _conversation(
    store: Store, current: Conversation | None, changes: ConversationFields, base: str, wearing: Wearing | None
) -> Conversation:
    """The conversation to go on with: a new one, or the old one with what was asked to change."""
    adapter, scale = (wearing.name, wearing.scale) if wearing else (None, 1.0)
    if current is None:
        return store.create_conversation(
            system=changes.get("system", ""),
            preset=changes.get("preset", ""),
            examples=changes.get("examples", ()),
            own_system=changes.get("own_system"),
            model=base,
            adapter=adapter,
            scale=scale,
        )
    changes |= {"adapter": adapter, "scale": scale}
    return store.update_conversation(current.id, **changes)


def _copied(branch: list[Message], store: Store, current: Conversation) -> Conversation:
    """The saved conversation's visible branch in the store that keeps nothing."""
    copy = store.create_conversation(
        system=current.system, model=current.model, preset=current.preset, examples=current.examples,
        own_system=current.own_system, sampling=current.sampling,
    )  # fmt: skip
    ids: dict[int | None, int | None] = {None: None}
    parent = None
    for each in branch:
        start = ids.get(each.context_start)
        added = store.add_message(copy.id, each.role, each.content, parent=parent, base=each.base, context_start=start)
        parent = ids[each.id] = added.id
    return store.conversation(copy.id)


def _answer(
    session: Session,
    conversation: Conversation,
    text: str,
    wearing: Wearing | None,
    wishes: dict[str, Any],
    *,
    as_json: bool,
    saved: bool,
) -> None:
    from lora_chat.cli.console import answer, answer_json, note, stream
    from lora_chat.engine.process import ProcessEngine
    from lora_chat.engine.protocol import TextChunk
    from lora_chat.errors import Interrupted
    from lora_chat.session import Ended, LeftOut, choose_sampling

    asked = {name: value for name, value in wishes.items() if value is not None}
    sampling = choose_sampling(session.config, wearing, **conversation.wishes | asked)
    give_up = session.engine.close if isinstance(session.engine, ProcessEngine) else None
    with cancelled_by_ctrl_c(give_up) as cancel:
        for event in session.send(conversation, text, wearing, sampling, cancel):
            if isinstance(event, TextChunk) and not as_json:
                stream(event.text)
            elif isinstance(event, LeftOut):
                note(event.sentence)
            elif isinstance(event, Ended):
                if as_json:
                    kept = {"conversation": event.reply.conversation, "message": event.reply.id} if saved else {}
                    answer_json(
                        answer_facts(event.reply.content, wearing, session.base, event.finished, event.left_out) | kept
                    )
                else:
                    answer()
                if event.finished.reason == "cancelled":
                    raise Interrupted("Stopped; what was written so far is kept.")


def answer_facts(
    text: str, wearing: Wearing | None, base: str, finished: Finished, left_out: int = 0
) -> dict[str, Any]:
    """The contract of ``ask --json``; ``conversation`` and ``message`` are null for what was not saved.

    ``left_out`` counts the conversation's oldest messages that no longer fit in the context.
    """
    return {
        "text": text,
        "adapter": wearing.name if wearing else None,
        "scale": wearing.scale if wearing else None,
        "model": base,
        "finish_reason": finished.reason,
        "prompt_tokens": finished.prompt_tokens,
        "cached_tokens": finished.cached_tokens,
        "generated_tokens": finished.generated_tokens,
        "left_out": left_out,
        "first_token_ms": _rounded(finished.first_token_ms),
        "tokens_per_second": _rounded(finished.tokens_per_second),
        "seed": finished.seed,
        "conversation": None,
        "message": None,
    }


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 2)


@contextmanager
def cancelled_by_ctrl_c(give_up: Callable[[], object] | None = None) -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C sets; the second interrupts as it did before.

    SIGTERM sets it too, and ends the program once what was begun is kept. Where that takes longer than a moment,
    because what is waited for hears of no event, ``give_up`` is called, on a thread of its own.
    """
    cancel = threading.Event()
    terminated = False
    patience = threading.Timer(_PATIENCE_S, give_up or cancel.set)
    patience.daemon = True

    def on_signal(number: int, frame: Any) -> None:
        nonlocal terminated
        if number == signal.SIGTERM and not terminated:
            terminated = True
            patience.start()
        if cancel.is_set():
            interrupt = before[signal.SIGINT]
            (interrupt if callable(interrupt) else signal.default_int_handler)(number, frame)
        cancel.set()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, on_signal)
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        patience.cancel()
        if terminated:
            signal.raise_signal(signal.SIGTERM)
