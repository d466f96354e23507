"""Conversations as plain data, for the pipe between the program and a plugin. Owns both ways; believes neither."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any, TypeVar

from lora_chat.chat.conversation import Conversation, Message, Role, Turn
from lora_chat.chat.transcript import Problem, Transcript
from lora_chat.plugins.command_api import CommandCall, Piece, Say, Write
from lora_chat.plugins.registrars import Example, Progress, SavedConversation, SavedMessage
from lora_chat.text import clean, clean_line

_T = TypeVar("_T")
LONGEST_TITLE = 200
LONGEST_WHAT = 60
MOST_BYTES = 1e15
NO_SPACE = "No space left on device"
"""How a plugin's process says that the disk is full, which is for the program to tell."""


def transcript_to_plain(found: object) -> dict[str, Any]:
    """What an importer yielded.

    Raises:
        TypeError: it is neither a Transcript of texts nor a Problem.
    """
    if isinstance(found, Problem):
        return {"place": _text(found.place), "why": _text(found.why), "part": bool(found.part)}
    if not isinstance(found, Transcript):
        raise TypeError(f"an importer yields Transcript or Problem, and this one a {type(found).__name__}")
    turns = [[Role(turn.role).value, _text(turn.content)] for turn in found.turns]
    return {
        "system": _text(found.system), "title": _text(found.title), "turns": turns,
        "parents": [int(each) for each in found.parents], "never_train": bool(found.never_train),
    }  # fmt: skip


def transcript_of_plain(value: Any) -> Transcript | Problem:
    """The same, read and cleaned.

    Raises:
        ValueError: it is none.
    """
    return _guarded(_transcript, value)


def _transcript(value: Any) -> Transcript | Problem:
    if "why" in value:
        return Problem(clean_line(value["place"], 60), clean_line(value["why"], 200), value["part"] is True)
    turns = tuple(Turn(Role(role), clean(_text(content))) for role, content in value["turns"])
    parents = tuple(value["parents"])
    if not turns or not all(turn.content.strip() for turn in turns):
        return Problem(clean_line(_text(value["title"]), 60) or "a conversation", "has a message without text")
    above = all(type(at) is int and -1 <= at < number for number, at in enumerate(parents))
    if parents and (len(parents) != len(turns) or not above):
        raise ValueError("a message answers one that does not stand before it")
    title = clean_line(_text(value["title"]), LONGEST_TITLE)
    return Transcript(clean(_text(value["system"])), turns, value["never_train"] is True, title, parents)


def saved(conversation: Conversation, messages: list[Message]) -> SavedConversation:
    """A conversation as plugins see it, with its visible branch."""
    said = tuple(
        SavedMessage(each.role, each.content, each.adapter, each.base, each.created_at, each.status.value)
        for each in messages
    )
    return SavedConversation(conversation.id, conversation.title, conversation.system, conversation.created_at, said)


def saved_to_plain(conversation: SavedConversation | None) -> dict[str, Any] | None:
    """For the pipe."""
    return asdict(conversation) if conversation is not None else None


def saved_of_plain(value: Any) -> SavedConversation | None:
    """The same, read in the plugin's process."""
    if value is None:
        return None
    messages = tuple(SavedMessage(**each | {"role": Role(each["role"])}) for each in value["messages"])
    return SavedConversation(**value | {"messages": messages})


def call_to_plain(call: CommandCall) -> dict[str, Any]:
    """A command's call, for the pipe."""
    return asdict(call)


def call_of_plain(value: Any) -> CommandCall:
    """The same, read in the plugin's process."""
    conversation = saved_of_plain(value["conversation"])
    assert conversation is not None
    return CommandCall(**value | {"conversation": conversation})


def pieces_to_plain(given: Piece | Iterable[Piece] | None) -> Iterator[dict[str, str]]:
    """What a command returned, or yields.

    Raises:
        TypeError: it is no piece.
    """
    if given is None:
        return
    whole = isinstance(given, str | Write | Say) or not isinstance(given, Iterable)
    for piece in [given] if whole else given:  # type: ignore[union-attr]
        match piece:
            case str(text):
                yield {"show": text}
            case Write(str(text)):
                yield {"write": text}
            case Say(str(text)):
                yield {"say": text}
            case _:
                raise TypeError(f"a command gives text, Write or Say of a text, and this one a {type(piece).__name__}")


def piece_of_plain(value: Any) -> Piece:
    """The same, read and cleaned.

    Raises:
        ValueError: it is none.
    """
    match value:
        case {"show": str(text)}:
            return clean(text)
        case {"write": str(text)}:
            return Write(clean(text))
        case {"say": str(text)}:
            return Say(clean(text))
    raise ValueError("its command sent what nobody can show")


def example_to_plain(example: Example) -> dict[str, Any]:
    """For the pipe."""
    turns = [[turn.role.value, turn.content] for turn in example.turns]
    return {"turns": turns, "learnt": example.learnt, "source": example.source, "why": example.why}


def example_of_plain(value: Any) -> Example:
    """The same, read in the plugin's process."""
    turns = tuple(Turn(Role(role), content) for role, content in value["turns"])
    return Example(turns, tuple(value["learnt"]), value["source"], tuple(value["why"]))


def progress_to_plain(said: object) -> dict[str, Any]:
    """What a model source yielded.

    Raises:
        TypeError: it is neither a Progress nor a text.
    """
    if isinstance(said, str):
        return {"done": 0, "total": 0, "what": said}
    if not isinstance(said, Progress):
        raise TypeError(f"a model source yields Progress or text, and this one a {type(said).__name__}")
    return {"done": float(said.done), "total": float(said.total), "what": _text(said.what)}


def progress_of_plain(value: Any) -> Progress:
    """The same, read and cleaned.

    Raises:
        ValueError: it is none.
    """
    try:
        done, total, what = value["done"], value["total"], clean_line(_text(value["what"]), LONGEST_WHAT)
        sizes = [float(each) for each in (done, total) if type(each) in (int, float)]
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"it sent what is no progress ({error})") from error
    if len(sizes) != 2 or not all(0 <= each <= MOST_BYTES for each in sizes):
        raise ValueError("it sent a size that no model has")
    return Progress(sizes[0], sizes[1], what)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was wanted, and {type(value).__name__} came")
    return value


def _guarded(read: Callable[[Any], _T], value: Any) -> _T:
    try:
        return read(value)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it sent what is no conversation ({error})") from error
