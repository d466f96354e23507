"""Where a copied text goes: the programs there are, the terminal, tmux, a file; and what is said of each."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_chat.errors import RefusedError
from lora_chat.sitting.clipboard import LONGEST_OSC, copy, osc52

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the programs are shell scripts")

HERE = {"TERM": "xterm-256color"}
X11 = HERE | {"DISPLAY": ":0"}
FAR = HERE | {"SSH_CONNECTION": "1 2 3 4"}
TEXT = "Grüße \U0001f99c\n\tsecond line"
SAID = "Copied 20 characters"

Program = Callable[..., Path]


class Place:
    """Where one copies: what the terminal is told, and the file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "home" / "copied.md"
        self.told: list[str] = []

    def copy(self, environ: dict[str, str], text: str = TEXT, *, terminal: bool = True) -> str:
        return copy(text, self.file, environ, self.told.append if terminal else None)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Makes a program that keeps its arguments and what it reads; no other one is found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, code: int = 0) -> Path:
        took = tmp_path / f"{name}.took"
        made = folder / name
        made.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" > "{took}.how"\n/bin/cat > "{took}"\nexit {code}\n', "utf-8")
        made.chmod(0o755)
        return took

    return make


def decoded(sequence: str) -> str:
    assert sequence.startswith("\x1b]52;c;")
    assert sequence.endswith("\x07")
    return base64.b64decode(sequence[len("\x1b]52;c;") : -1], validate=True).decode()


@pytest.mark.parametrize(
    ("name", "environ", "how"),
    [
        ("wl-copy", HERE | {"WAYLAND_DISPLAY": "wayland-0"}, ""),
        ("xclip", X11, "-selection clipboard"),
        ("xsel", X11, "--clipboard --input"),
        ("pbcopy", HERE, ""),
    ],
)
def test_a_program_beside_the_person_comes_first_and_is_named(
    name: str, environ: dict[str, str], how: str, place: Place, program: Program
) -> None:
    took = program(name)
    assert place.copy(environ) == f"{SAID} with {name}."
    assert took.read_bytes() == TEXT.encode()
    assert Path(f"{took}.how").read_text("utf-8").strip() == how
    assert place.told == []
    assert not place.file.exists()


def test_windows_program_is_given_what_it_reads(place: Place, program: Program) -> None:
    took = program("clip.exe")
    assert place.copy(HERE) == f"{SAID} with clip.exe."
    assert took.read_bytes().decode("utf-16") == TEXT


def test_a_program_without_its_display_or_one_that_fails_is_passed_over(place: Place, program: Program) -> None:
    xclip = program("xclip")
    assert place.copy(HERE) == f"{SAID} through the terminal (OSC 52)."
    assert not xclip.exists()
    xclip, xsel = program("xclip", 1), program("xsel")
    assert place.copy(X11) == f"{SAID} with xsel."
    assert xclip.read_bytes() == xsel.read_bytes()


def test_a_program_that_hangs_is_not_waited_for(
    place: Place, program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lora_chat.sitting.clipboard._PATIENCE_S", 0.2)
    program("xclip")
    (tmp_path / "bin" / "xclip").write_text("#!/bin/sh\nexec /bin/sleep 30\n", "utf-8")
    assert place.copy(X11) == f"{SAID} through the terminal (OSC 52)."


@pytest.mark.usefixtures("program")
def test_the_terminal_is_sent_base64_and_nothing_else(place: Place) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\x9b31m" + TEXT
    place.copy(HERE, hostile)
    (sequence,) = place.told
    assert decoded(sequence) == hostile
    assert sequence.count("\x1b") == 1
    assert sequence[1:-1].isprintable()
    assert sequence[1:-1].isascii()


def test_far_away_the_terminal_comes_before_programs_and_the_machines_own_never(place: Place, program: Program) -> None:
    pbcopy = program("pbcopy")
    xclip = program("xclip")
    assert place.copy(FAR | {"DISPLAY": "localhost:10"}) == f"{SAID} through the terminal (OSC 52)."
    assert not xclip.exists()
    long = "x" * LONGEST_OSC
    assert place.copy(FAR | {"DISPLAY": "localhost:10"}, long) == "Copied 74,994 characters with xclip."
    assert place.copy(FAR, long) == f"Copied 74,994 characters to {place.file}: no clipboard takes them here."
    assert not pbcopy.exists()


@pytest.mark.usefixtures("program")
def test_what_is_too_long_for_a_terminal_goes_into_the_file(place: Place) -> None:
    most = "x" * (LONGEST_OSC // 4 * 3)
    assert "OSC 52" in place.copy(HERE, most)
    assert len(place.told[0]) <= LONGEST_OSC + len("\x1b]52;c;\x07")
    assert place.copy(HERE, most + "yyyy").endswith("no clipboard takes them here.")
    assert place.file.read_text("utf-8") == most + "yyyy"
    assert len(place.told) == 1


def test_tmux_is_asked_by_its_own_command(place: Place, program: Program) -> None:
    took = program("tmux")
    assert place.copy(FAR | {"TMUX": "/tmp/x,1,0"}) == f"{SAID} with tmux."
    assert took.read_bytes() == TEXT.encode()
    assert Path(f"{took}.how").read_text("utf-8").strip() == "load-buffer -w -"
    assert place.told == []
    assert place.copy(HERE | {"TMUX": "/tmp/x,1,0"}, terminal=False) == f"{SAID} with tmux."


def test_a_tmux_that_cannot_is_told_as_a_terminal_and_passes_it_on(place: Place, program: Program) -> None:
    program("tmux", 1)
    environ = {"TERM": "screen-256color", "TMUX": "/tmp/x,1,0"}
    assert place.copy(environ) == f"{SAID} through tmux (OSC 52)."
    (sequence,) = place.told
    plain = osc52(TEXT, {})
    assert sequence == plain + "\x1bPtmux;\x1b" + plain + "\x1b\\"
    assert decoded(plain) == TEXT


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    "environ",
    [{}, {"TERM": "dumb"}, {"TERM": "linux"}, HERE | {"STY": "1"}, HERE | {"TERM_PROGRAM": "Apple_Terminal"}],
)
def test_a_terminal_without_a_clipboard_is_not_asked(place: Place, environ: dict[str, str]) -> None:
    assert place.copy(environ) == f"{SAID} to {place.file}: no clipboard takes them here."
    assert place.told == []


@pytest.mark.usefixtures("program")
def test_the_file_is_clean_and_private_and_holds_what_was_copied_last(place: Place) -> None:
    place.copy(HERE, "first", terminal=False)
    place.copy(HERE, "se\x1b[31mcond\u202e", terminal=False)
    assert place.file.read_text("utf-8") == "se[31mcond"
    assert place.file.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("program")
def test_a_file_that_cannot_be_written_is_said_in_one_sentence(place: Place, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way", "utf-8")
    with pytest.raises(RefusedError, match="home"):
        place.copy(HERE, terminal=False)
