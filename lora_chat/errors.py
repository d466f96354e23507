"""The ways lora-chat says no. Owns the exit codes; never prints and never decides what to do next.

Every message is one sentence that says what, where and what to do. The command line prints it and leaves with
``exit_code``; the chat shows it. A traceback is never part of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LoraChatError(Exception):
    """A refusal a person can act on."""

    exit_code = 1


class UsageError(LoraChatError):
    """The command's words do not fit together."""

    exit_code = 2


class NotFoundError(LoraChatError):
    """Something named does not exist: a model, an adapter, a conversation, a file."""

    exit_code = 3


class RefusedError(LoraChatError):
    """Input was read and is not acceptable; nothing was changed."""

    exit_code = 4


class EngineError(LoraChatError):
    """The engine could not load or generate, or its process ended."""

    exit_code = 5


class TrainingError(LoraChatError):
    """A training job could not start or could not finish."""

    exit_code = 6


class StoreError(LoraChatError):
    """The conversation database cannot be opened, read or written."""

    exit_code = 7


class Interrupted(LoraChatError):
    """The person asked to stop."""

    exit_code = 130


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for the nearest known word, or ``""``."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
