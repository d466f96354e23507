"""What comes from the terminal: pastes are text whatever is in them, and no byte ends the program."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_chat.paths import Paths
from tests.cli.conftest import Kept, command, environment

if os.name != "posix":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

from lora_chat.tui.terminal import BEGIN, END, Pastes
from tests.terminal import Window


def cleaned(*pieces: str) -> str:
    pastes = Pastes()
    return "".join(pastes.clean(piece) for piece in pieces)


def test_controls_in_a_paste_go_and_text_stays() -> None:
    assert cleaned(f"{BEGIN}one\x1b[31m\ttwo\r\n\x03\x1b]52;c;x\x07\x9b{END}") == f"{BEGIN}one[31m\ttwo\r\n]52;c;x{END}"


def test_what_is_typed_stays_as_it_is() -> None:
    keys = "a\x1b[A\x1b\x03\x1b[<0;5;5M\x1b[200"
    assert cleaned(keys) == keys
    assert cleaned("\x1b") == "\x1b", "the escape key does not wait for what may come"


def test_typing_goes_on_behind_a_paste() -> None:
    assert cleaned(f"a{BEGIN}b\x1bc{END}\x1b[A{BEGIN}\x03{END}\x03") == f"a{BEGIN}bc{END}\x1b[A{BEGIN}{END}\x03"


@given(st.lists(st.sampled_from([BEGIN, END, "\x1b", "[", "200~", "201~", "2", "text", "\x03", "é", "\r"])), st.data())
def test_the_pieces_it_comes_in_do_not_matter(parts: list[str], data: st.DataObject) -> None:
    whole = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=9)))
    pieces = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    again, once = Pastes(), Pastes()
    told = "".join(map(again.clean, pieces))
    assert told + again._held == once.clean(whole) + once._held


@pytest.fixture
def window(tiny: Paths) -> Iterator[Window]:
    opened = Window(command(), environment(tiny))
    opened.see("teach me")
    opened.type("\r")
    opened.see("sends;")
    yield opened
    opened.close()


def test_a_paste_full_of_escapes_is_one_text_and_sends_nothing(window: Window, kept: Kept) -> None:
    window.type(f"{BEGIN}first \x1b[31mred\rsecond \x1bOP \x03 \x1b[Z\rthird{END}")
    window.see("first [31mred")
    window.see("third")
    window.type(f" {BEGIN}{'x' * 70 + chr(27) + '[1m'}{END}")
    window.see("x" * 70)
    window.type("\x11")
    assert window.end() == 0
    assert not kept.conversations


def test_bytes_that_are_no_text_end_nothing(window: Window, kept: Kept) -> None:
    os.write(window._master, b"caf\xe9 \xff\xfe ok\xc3")
    window.see("ok")
    window.type("\x11")
    assert window.end() == 0
