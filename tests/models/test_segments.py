"""A text that is encoded piece by piece has exactly the ids that the tokenizer gives the whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from lora_chat.chat.conversation import Role, Turn
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import load_prompt_format
from lora_chat.models.segments import Segments

LETTERS = "ab \n<>|x▁"
ADDED: dict[str, dict[str, Any]] = {
    "<|x|>": {"normalized": False},
    "<|x|>>": {"normalized": False},
    "|>": {"normalized": True},
    "<<": {"normalized": False, "lstrip": True},
    ">>": {"normalized": False, "rstrip": True},
    "  ": {"normalized": False},
    "x<": {"normalized": False, "special": True},
}
"""What a tokenizer may ask of its added tokens, all at once, and some that begin or end alike."""

A_WORD: dict[str, dict[str, Any]] = {"ab": {"normalized": False, "single_word": True}}
"""One that looks around itself."""

TEXTS = st.lists(st.sampled_from([*LETTERS, *ADDED, "ab"]), max_size=30).map("".join)


def a_tokenizer(begins: str, added: dict[str, dict[str, Any]]) -> Tokenizer:
    """Of single characters and some pairs; ``begins`` says where a space is put before a word."""
    vocabulary = {letter: index for index, letter in enumerate(LETTERS)}
    merges = [("a", "b"), ("▁", "a"), ("b", "x"), ("▁", "▁"), ("x", "▁"), ("|", ">")]
    vocabulary |= {"".join(pair): len(LETTERS) + index for index, pair in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    if begins == "everywhere":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=begins)
    tokenizer.add_tokens([AddedToken(content, **how) for content, how in added.items()])
    return tokenizer


@pytest.mark.parametrize("begins", ["always", "first", "never", "everywhere"])
@pytest.mark.parametrize("added", [ADDED, ADDED | A_WORD], ids=["anywhere", "a word"])
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_the_ids_are_those_of_the_whole(begins: str, added: dict[str, dict[str, Any]], texts: list[str]) -> None:
    tokenizer = a_tokenizer(begins, added)
    segments = Segments(tokenizer)
    for text in (*texts, "".join(texts)):
        assert segments.encode(text) == tokenizer.encode(text, add_special_tokens=False).ids


class Counted:
    """A tokenizer that says what it was asked for."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.asked: list[str] = []

    def get_added_tokens_decoder(self) -> dict[int, AddedToken]:
        return self._tokenizer.get_added_tokens_decoder()

    def encode(self, text: str, **how: Any) -> Any:
        self.asked.append(text)
        return self._tokenizer.encode(text, **how)


def test_of_the_next_turn_only_what_is_new_is_encoded(tiny_llama: InstalledBase) -> None:
    prompt = load_prompt_format(tiny_llama.folder)
    counted: Any = Counted(prompt.tokenizer)
    prompt.__dict__["_segments"] = Segments(counted)
    talk = [Turn(Role.USER, f"Question {index}?") if index % 2 == 0 else Turn(Role.ASSISTANT, f"Answer {index}.")
            for index in range(9)]  # fmt: skip
    prompt.encode_prompt(talk)
    counted.asked.clear()
    ids = prompt.encode_prompt([*talk, Turn(Role.ASSISTANT, "The answer."), Turn(Role.USER, "And now?")])
    assert "".join(counted.asked) == "<|im_start|>assistant\nThe answer.<|im_start|>user\nAnd now?"
    assert ids == prompt.tokenizer.encode(prompt.tokenizer.decode(ids, skip_special_tokens=False)).ids


def test_what_is_no_longer_said_is_forgotten(tiny_llama: InstalledBase) -> None:
    segments = Segments(load_prompt_format(tiny_llama.folder).tokenizer)
    segments.encode("<|im_start|>one<|im_end|>")
    segments.encode("<|im_start|>two<|im_end|>")
    assert list(segments._known) == ["<|im_start|>two", "<|im_end|>"]
