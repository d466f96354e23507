"""What is copied of a conversation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from lora_chat.chat.conversation import Role
from lora_chat.chat.reading import codes_of
from lora_chat.config import Config
from lora_chat.errors import RefusedError, UsageError
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.sitting.commands import take
from lora_chat.sitting.copying import _block, codes_said, copy_message
from lora_chat.sitting.face import Face
from lora_chat.sitting.sitting import Sitting
from tests.sitting.test_columns import BASE, Engine, Heard

CODE = "Do this:\n\n```sh\nls\n```\n\nor that:\n\n~~~py\nprint('`')\n\nx = 1\n~~~\n\nDone."


class Clipboard(Heard):
    """A face that keeps what is copied."""

    def __init__(self) -> None:
        super().__init__()
        self.copied: list[str] = []

    def copy(self, text: str) -> None:
        self.copied.append(text)


class Room:
    """A sitting whose conversation says what a test wants."""

    def __init__(self, services: Services) -> None:
        self.heard = Clipboard()
        self.sitting = Sitting(services, BASE, cast(Face, self.heard))

    def say(self, *texts: str) -> None:
        """Question, answer, question, …"""
        store, parent = self.sitting.store, None
        conversation = store.create_conversation(title="Parcels")
        for number, text in enumerate(texts):
            parent = store.add_message(conversation.id, list(Role)[1 + number % 2], text, parent=parent).id
        self.sitting.conversation = store.conversation(conversation.id)

    def copy(self, words: str = "") -> str:
        take(self.sitting, f"/copy {words}".strip())
        return self.heard.copied.pop()


@pytest.fixture
def room(home: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Engine(base))
    with Services(home, Config(temperature=0.0)) as services:
        yield Room(services)


def test_the_last_answer_and_those_before_it(room: Room) -> None:
    room.say("One?", "First.", "Two?", "Second.", "Three?")
    assert room.copy() == "Second."
    assert room.copy("1") == "Second."
    assert room.copy("2") == "First."


def test_code_is_the_last_block_of_the_newest_answer_that_has_one(room: Room) -> None:
    room.say("How?", CODE, "Thanks", "With pleasure.")
    assert room.copy("code") == "print('`')\n\nx = 1"


@pytest.mark.parametrize("word", ["chat", "all", "CHAT"])
def test_the_conversation_is_markdown(room: Room, word: str) -> None:
    room.say("One?", "First.")
    assert room.copy(word) == "# Parcels\n\n## User\n\nOne?\n\n## Assistant\n\nFirst."


def test_one_message_is_copied_as_it_was_said(room: Room) -> None:
    room.say("  One?\n", "First.")
    copy_message(room.sitting, room.sitting.branch()[0])
    assert room.heard.copied == ["  One?\n"]


def test_what_is_not_there_is_refused_with_what_to_do(room: Room) -> None:
    for words in ("", "code", "chat", "1"):
        with pytest.raises(RefusedError, match=r"/copy|write a message|choose a message"):
            room.copy(words)
    room.say("One?", "First.")
    with pytest.raises(RefusedError, match="has 1 answer: /copy 1 is the last"):
        room.copy("2")
    with pytest.raises(RefusedError, match="no code"):
        room.copy("code")
    for wrong in ("0", "-1", "everything", "٣", "9" * 4301):
        with pytest.raises((UsageError, RefusedError), match="/copy"):
            room.copy(wrong)
    assert room.heard.copied == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("none", None),
        ("a `b` c", None),
        ("```\nx\n```", "x"),
        ("```py\ncut off\nhere", "cut off\nhere"),
        ("- one\n  ```\n  x\n    y\n  ```\n", "x\n  y"),
        ("> ```\n> x\n> ```", "x"),
        ("text\n\n    x = 1\n", "x = 1"),
        ("````\n```\nx\n```\n````", "```\nx\n```"),
        ("```\n```", ""),
        ("  ```\n  x\n    y\n  ```", "x\n  y"),
        ("```\r\nx\r\n```\r\n", "x"),
    ],
)
def test_code_is_what_markdown_says_it_is(text: str, code: str | None) -> None:
    assert codes_said(text)[-1:] == ([] if code is None else [code])


def test_each_block_of_code_has_its_number() -> None:
    text = "```py\na\n```\n- b\n  ```\n  c\n  ```\n\n    d\n"
    blocks = codes_of(text)
    assert _block(blocks, "") == blocks[-1]
    assert [_block(blocks, "1"), _block(blocks, "2")] == ["a", "c"]
    with pytest.raises(RefusedError, match=r"blocks of it: /copy code 1 is the first"):
        _block(blocks, "9")
    for wish in ("0", "-1", "two", "1 2", "9" * 40):
        with pytest.raises(UsageError, match="/copy code 2 for the second"):
            _block(blocks, wish)
