"""The person's own editor: found, given a text, asked for it back; what it does wrong is said in one sentence."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_chat.errors import RefusedError
from lora_chat.sitting.editor import edit, find_editor

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the editors are shell scripts")

Script = Callable[[str], list[str]]


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """An editor that does what the test wants with the file ``$1``."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()

    def make(does: str) -> list[str]:
        made = tmp_path / "ed itor"
        made.write_text(f"#!/bin/sh\n{does}\n", "utf-8")
        made.chmod(0o755)
        return [str(made)]

    return make


def test_visual_comes_before_editor_with_what_stands_behind_it() -> None:
    assert find_editor({"VISUAL": "sh -c 'a b'", "EDITOR": "cat"}) == [*find_editor({"EDITOR": "sh"}), "-c", "a b"]
    assert Path(find_editor({"VISUAL": " ", "EDITOR": "cat"})[0]).name == "cat"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "Neither VISUAL nor EDITOR"),
        ({"VISUAL": "", "EDITOR": "  "}, "Neither VISUAL nor EDITOR"),
        ({"EDITOR": "no-such-editor --wait"}, 'EDITOR is "no-such-editor --wait", which is not installed'),
        ({"VISUAL": "vi 'x", "EDITOR": "cat"}, 'VISUAL is "vi \'x", which is no command'),
        ({"EDITOR": "\x1b[31mx\n\u202ey"}, r'EDITOR is "\[31mx y", which is not installed'),
        ({"EDITOR": "''"}, "which is not installed"),
    ],
)
def test_one_that_is_not_there_is_named(environ: dict[str, str], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        find_editor(environ)


def test_it_is_given_the_text_and_what_it_leaves_comes_back_clean(editor: Script, tmp_path: Path) -> None:
    copy = tmp_path / "given"
    does = f'cp "$1" "{copy}"; printf "Gr\\303\\274\\303\\237e\\r\\n\\033[31m\\342\\200\\256two\\n" > "$1"'
    assert edit(editor(does), "one\n\nGrüße", 100) == "Grüße\n[31mtwo"
    assert copy.read_text("utf-8") == "one\n\nGrüße"
    assert list((tmp_path / "tmp").iterdir()) == [], "nothing of it stays"


def test_only_the_person_can_read_it_meanwhile(editor: Script, tmp_path: Path) -> None:
    look = tmp_path / "look"
    edit(editor(f'stat -c %a "$(dirname "$1")" > "{look}"'), "text", 100)
    assert look.read_text("utf-8").strip() == "700"


def test_bytes_that_are_no_text_are_marked(editor: Script) -> None:
    assert edit(editor('printf "a\\377b" > "$1"'), "", 100) == "a\ufffdb"


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ('echo changed > "$1"; exit 3', "ended with code 3: the prompt is as it was"),
        ('rm "$1"', "No such file or directory.*the prompt is as it was"),
        ('head -c 5000 /dev/zero | tr "\\0" x > "$1"', "longer than the 100 characters"),
    ],
)
def test_what_it_does_wrong_is_one_sentence(editor: Script, does: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=said):
        edit(editor(does), "text", 100)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_is_no_program_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"\x7fELF, but not really")
    (tmp_path / "broken").chmod(0o755)
    with pytest.raises(RefusedError, match="broken could not be used"):
        edit([str(tmp_path / "broken")], "text", 100)


def test_an_interrupt_is_the_editors_and_afterwards_ours_again(editor: Script) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert edit(editor(f'kill -INT {os.getpid()}; sleep 0.2; echo written > "$1"'), "", 100) == "written"
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(RefusedError, match="ended with code"):
        edit(editor("kill -INT $$; sleep 1"), "", 100)
