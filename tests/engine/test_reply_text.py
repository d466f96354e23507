"""Text out of tokens: however characters and stop strings are split, nothing is lost and nothing comes too early."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from lora_chat.engine.reply_text import ReplyText, StopHeld
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import PromptFormat, load_prompt_format

TEXTS = st.text(
    st.one_of(
        st.sampled_from("ab Who are you?\n🙂👨‍👩‍👧日本語é\u0301ß\u00a0"), st.characters(exclude_categories=["Cs"])
    ),
    max_size=40,
)
STOPS = st.lists(st.text(st.sampled_from("ab éé🙂日\n"), min_size=1, max_size=4), max_size=3)


@pytest.fixture
def prompt(tiny_llama: InstalledBase) -> PromptFormat:
    return format_of(tiny_llama.folder)


@cache
def format_of(folder: Path) -> PromptFormat:
    return load_prompt_format(folder)


def stream(prompt: PromptFormat, ids: list[int], stops: tuple[str, ...] = ()) -> list[str]:
    text = ReplyText(prompt, stops)
    pieces = []
    for token in ids:
        pieces.append(text.add(token))
        if text.stopped:
            break
    return [*pieces, text.finish()]


def bytes_as_ids(prompt: PromptFormat, text: str) -> list[int]:
    """One token for each byte: every character beyond ASCII is split."""
    found = [prompt.tokenizer.token_to_id(byte_table()[byte]) for byte in text.encode()]
    assert None not in found
    return [token for token in found if token is not None]


@cache
def byte_table() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, split=st.booleans())
def test_the_pieces_make_the_text_that_one_decoding_makes(tiny_llama: InstalledBase, text: str, split: bool) -> None:
    prompt = format_of(tiny_llama.folder)
    ids = bytes_as_ids(prompt, text) if split else prompt.tokenizer.encode(text, add_special_tokens=False).ids
    pieces = stream(prompt, list(ids))
    assert "".join(pieces) == prompt.decode(ids) == text
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text


@settings(max_examples=150, deadline=None)
@given(ids=st.lists(st.integers(0, 383), max_size=60))
def test_any_ids_at_all_make_the_text_that_one_decoding_makes(tiny_llama: InstalledBase, ids: list[int]) -> None:
    prompt = format_of(tiny_llama.folder)
    ids = [token for token in ids if token < prompt.tokenizer.get_vocab_size()]
    assert "".join(stream(prompt, ids)) == prompt.decode(ids)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, stops=STOPS)
def test_nothing_of_a_stop_string_is_shown_however_it_is_split(
    tiny_llama: InstalledBase, text: str, stops: list[str]
) -> None:
    prompt = format_of(tiny_llama.folder)
    ends = [at for at in map(text.find, stops) if at >= 0]
    # Byte by byte the first stop string to be complete ends the reply, and it may begin later than a longer one.
    shown = "".join(stream(prompt, bytes_as_ids(prompt, text), tuple(stops)))
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    assert shown == text if not ends else len(shown) >= min(ends)
    if len(ends) == 1:
        assert shown == text[: ends[0]]


def test_a_stop_string_whose_last_character_is_split_is_not_begun(prompt: PromptFormat) -> None:
    assert stream(prompt, bytes_as_ids(prompt, "caé"), ("aé",)) == ["c", "", "", "", ""]


def test_half_a_character_at_the_end_is_given_as_one_that_is_missing(prompt: PromptFormat) -> None:
    assert "".join(stream(prompt, bytes_as_ids(prompt, "a日")[:-1])) == "a\ufffd"


def test_control_tokens_have_no_text(prompt: PromptFormat) -> None:
    [start] = prompt.tokenizer.encode("<|im_start|>", add_special_tokens=False).ids
    word = prompt.tokenizer.encode("you", add_special_tokens=False).ids
    assert "".join(stream(prompt, [start, *word, start, *word])) == "youyou"


def test_words_keep_their_spaces_where_a_decoder_drops_the_first(prompt: PromptFormat) -> None:
    words = {"<s>": 0, "▁Hello": 1, "▁you": 2, "r": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<s>"))
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<s>"])
    llama2 = PromptFormat(tokenizer, "", "", "", frozenset({0}), ())
    assert "".join(stream(llama2, [1, 2, 3, 0, 2, 1])) == llama2.decode([1, 2, 3, 0, 2, 1]) == "Hello your you Hello"


def test_a_long_reply_decodes_each_token_a_bounded_number_of_times(
    prompt: PromptFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = 0
    decode = PromptFormat.decode

    def counting(self: PromptFormat, ids: list[int]) -> str:
        nonlocal decoded
        decoded += len(ids)
        return decode(self, ids)

    monkeypatch.setattr(PromptFormat, "decode", counting)
    ids = prompt.tokenizer.encode("Who are you? 日本 " * 200, add_special_tokens=False).ids
    stream(prompt, list(ids), ("\nQ:",))
    assert decoded < 12 * len(ids)


@settings(max_examples=200)
@given(text=st.text("ab", max_size=30), stops=st.lists(st.text("ab", max_size=3), max_size=3), cuts=st.data())
def test_held_text_waits_no_longer_than_a_stop_string_could_need(
    text: str, stops: list[str], cuts: st.DataObject
) -> None:
    held, shown, given_so_far = StopHeld(stops), "", ""
    while given_so_far != text and not held.stopped:
        size = cuts.draw(st.integers(1, 3))
        piece = text[len(given_so_far) : len(given_so_far) + size]
        given_so_far += piece
        shown += held.add(piece)
        if not held.stopped:
            waiting = given_so_far[len(shown) :]
            assert waiting == "" or any(stop.startswith(waiting) for stop in stops)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, cut=st.integers(0, 40))
def test_a_text_that_goes_on_is_the_one_that_was_not_cut(tiny_llama: InstalledBase, text: str, cut: int) -> None:
    prompt = format_of(tiny_llama.folder)
    ids = list(prompt.tokenizer.encode(text, add_special_tokens=False).ids)
    before = ids[:cut]
    if prompt.decode(before).endswith("\ufffd"):  # whole characters are kept
        return
    rest = ReplyText(prompt, ())
    rest.go_on(prompt.decode(before), before)
    more = "".join([*(rest.add(token) for token in ids[cut:]), rest.finish()])
    assert prompt.decode(before) + more == prompt.decode(ids)


def test_words_keep_their_spaces_behind_an_answer_that_goes_on(prompt: PromptFormat) -> None:
    tokenizer = Tokenizer(models.WordLevel({"<s>": 0, "▁Hello": 1, "▁you": 2}, unk_token="<s>"))
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<s>"])
    text = ReplyText(PromptFormat(tokenizer, "", "", "", frozenset({0}), ()), ())
    text.go_on("Hello", [1])
    assert text.add(2) + text.finish() == " you"


@settings(max_examples=200)
@given(before=st.text("ab", max_size=8), more=st.text("ab", max_size=8), stops=st.lists(st.text("ab", max_size=3)))
def test_a_stop_string_may_begin_in_what_is_there(before: str, more: str, stops: list[str]) -> None:
    if any(stop and stop in before for stop in stops):
        return
    held, whole = StopHeld(stops), StopHeld(stops)
    held.go_on(before)
    passed = "".join([*map(held.add, more), held.finish()])
    expected = "".join([*map(whole.add, before + more), whole.finish()])
    assert held.stopped == whole.stopped
    assert (before + passed).startswith(expected)
    assert len(passed) == max(0, len(expected) - len(before))
