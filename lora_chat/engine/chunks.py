"""What is kept of an engine's chunks. Owns their cleaning and an answer's figures; never runs or stores anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from lora_chat.chat.conversation import Message, Status
from lora_chat.chat.rows import AnswerFields
from lora_chat.engine.protocol import Chunk, Finished, Sampling, TextChunk
from lora_chat.errors import EngineError
from lora_chat.text import clean


def cleaned(chunks: Iterator[Chunk], *, begun: bool = False) -> Iterator[Chunk]:
    """The pieces that hold something, then the end; white space they begin with counts only behind what has ``begun``.

    Cleaned here, where they enter: what is shown, kept and trained on later is the same text.

    Raises:
        EngineError: it has no end.
    """
    for chunk in chunks:
        if isinstance(chunk, Finished):
            yield chunk
            return
        piece = clean(chunk.text) if begun else clean(chunk.text).lstrip()
        begun = begun or bool(piece)
        if piece:
            yield TextChunk(piece)
    raise EngineError("The engine ended the answer without a word why: try again.")


def status_of(finished: Finished) -> Status:
    """How the answer is to be marked."""
    return Status.STOPPED if finished.reason == "cancelled" else Status.DONE


def figures_of(sampling: Sampling, finished: Finished) -> AnswerFields:
    """What is kept of its making."""
    return {
        "finish_reason": finished.reason,
        "sampling": json.dumps(asdict(sampling) | {"seed": finished.seed}),
        "prompt_tokens": finished.prompt_tokens,
        "cached_tokens": finished.cached_tokens,
        "generated_tokens": finished.generated_tokens,
        "first_token_ms": finished.first_token_ms,
        "tokens_per_second": finished.tokens_per_second,
    }


def added_figures(before: Message, sampling: Sampling, finished: Finished) -> AnswerFields:
    """The same of an answer that went on from ``before``: of all of it.

    Prompt and answer together stay the tokens that the context holds; the prompt was read and the first token came
    when it was begun.
    """
    figures = figures_of(sampling, finished)
    if before.generated_tokens is None:  # a person wrote it: what is added is all that was generated
        return figures
    generated = before.generated_tokens + finished.generated_tokens
    figures["generated_tokens"] = generated
    figures["prompt_tokens"] = max(0, finished.prompt_tokens + finished.generated_tokens - generated)
    if before.first_token_ms is not None:
        figures["first_token_ms"] = before.first_token_ms
        figures["cached_tokens"] = before.cached_tokens
    figures["tokens_per_second"] = _speed_of_both(before, finished)
    return figures


def _speed_of_both(before: Message, finished: Finished) -> float | None:
    """Tokens over the seconds that they took, each time without the first."""
    parts = [
        (count - 1, speed)
        for count, speed in (
            (before.generated_tokens or 0, before.tokens_per_second),
            (finished.generated_tokens, finished.tokens_per_second),
        )
        if speed and count > 1
    ]
    return sum(count for count, _ in parts) / sum(count / speed for count, speed in parts) if parts else None
