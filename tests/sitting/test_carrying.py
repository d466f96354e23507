"""A conversation into a file and back, with a look before. No model."""

# ruff: noqa: F811

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lora_chat.errors import RefusedError
from tests.sitting.test_turns import Player, Room, room  # noqa: F401

GOOD = '{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def about(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was shown with each question."""
    shown: list[tuple[str, str]] = []

    def confirm(self: Player, question: str, *, about: Any = (), **_: object) -> bool:
        self.asked.append(question)
        shown.extend(about)
        return self.agrees

    monkeypatch.setattr(Player, "confirm", confirm)
    return shown


def test_export_writes_markdown_here_under_a_name_that_is_free(room: Room, here: Path) -> None:
    room.take("Where is/ my parcel?", "/export", "/export")
    names = ["where-is-my-parcel-2.md", "where-is-my-parcel.md"]
    assert sorted(each.name for each in here.iterdir()) == names
    assert (here / names[1]).read_text("utf-8").startswith("# Where is/ my parcel?\n\n## User\n\nWhere is/ my parcel?")
    assert room.heard.notes[-1] == f"Written as Markdown: {here / names[0]}"
    if os.name == "posix":
        assert (here / names[1]).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("words", "name", "begins"),
    [
        ("jsonl", "one.jsonl", '{"messages"'),
        ("sharegpt", "one.json", '{"id"'),
        ("sharegpt my file", "my file", '{"id"'),
        ("x.jsonl", "x.jsonl", '{"messages"'),
        ("x", "x", "# One"),
    ],
)
def test_the_format_is_the_one_named_or_the_endings(
    room: Room,
    here: Path,
    words: str,
    name: str,
    begins: str,
) -> None:
    room.take("One", f"/export {words}")
    assert (here / name).read_text("utf-8").startswith(begins)


def test_a_file_that_is_there_is_asked_about(room: Room, here: Path) -> None:
    (here / "x.md").write_text("mine", "utf-8")
    room.heard.agrees = False
    room.take("One", "/export x.md")
    assert room.heard.asked == ["Replace x.md?"]
    assert (here / "x.md").read_text("utf-8") == "mine"
    room.heard.agrees = True
    room.take("/export x.md")
    assert (here / "x.md").read_text("utf-8").startswith("# One")


def test_what_cannot_be_written_is_refused(room: Room, here: Path) -> None:
    with pytest.raises(RefusedError, match="Nothing was said here yet"):
        room.take("/export")
    room.take("One")
    with pytest.raises(RefusedError, match="Cannot write"):
        room.take("/export md nowhere/x.md")
    assert list(here.iterdir()) == []


def test_an_import_is_looked_at_first_and_one_conversation_is_opened(
    room: Room,
    about: list[tuple[str, str]],
) -> None:
    room.take("One", "/system Be brief.", "Two", "/export x.md", "/new", "/import x.md")
    assert room.heard.asked == ["Import 1 conversation?"]
    assert about == [
        ("file", "x.md"),
        ("brings", "1 conversation, 4 messages"),
        ("with", "1 system prompt"),
        ("", "One"),
    ]
    assert room.shown == ["One", "One", "Two", "Two"]
    assert room.sitting.conversation is not None
    assert room.sitting.conversation.system == "Be brief."
    assert room.heard.notes[-1] == "Imported 1 conversation with 4 messages."
    assert len(room.store.conversations()) == 2


def test_what_is_left_out_is_named_and_the_rest_comes(
    room: Room,
    here: Path,
    about: list[tuple[str, str]],
) -> None:
    (here / "x.jsonl").write_text("\n".join([GOOD] * 7 + ["{}"] * 7), "utf-8")
    room.heard.agrees = False
    room.take("/import x.jsonl")
    assert room.store.conversations() == []
    assert about[-7:] == [
        ("", "and 2 more"),
        *(("left out", f'line {number}: has neither "messages" nor "conversations"') for number in range(8, 13)),
        ("left out", "2 more"),
    ]
    room.heard.agrees = True
    room.take("/import x.jsonl")
    assert room.heard.notes[-1] == "Imported 7 conversations with 14 messages."
    assert len(room.store.conversations()) == 7
    with pytest.raises(RefusedError, match="is not a file"):
        room.take("/import nowhere")


def test_a_format_of_a_plugin_that_does_not_run_is_no_name_of_a_file(room: Room) -> None:
    room.take("One")
    for words in ("html", "html talk.html", "HTML"):
        with pytest.raises(RefusedError, match="is a format of the plugin html, which does not run"):
            room.take(f"/export {words}")
    assert not list(Path().glob("*html*"))


def test_after_a_first_message_that_was_refused_commands_know_that_nothing_is_open(room: Room) -> None:
    with pytest.raises(RefusedError):
        room.take("word " * 20_000)
    room.take("/context")
    assert room.sitting.conversation is None
