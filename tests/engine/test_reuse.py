"""What was read before is not read again, and no reply ever tells: it is the one an engine says that has just begun."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.protocol import Finished, Request, TextChunk, Worn
from lora_chat.errors import RefusedError
from lora_chat.models.installed import InstalledBase
from tests.engine.conftest import GREEDY, QUESTION, Two, make_adapter

SHORT = replace(GREEDY, max_tokens=6)
OTHER = "The capital of France is Paris. Where is your shop? At 12 Harbour Street, and the weather is sorry"
Turns = tuple[Turn, ...]


@dataclass(frozen=True)
class Said:
    text: str
    cached: int
    prompt: int
    generated: int


def say(engine: LocalEngine, messages: Turns, adapter: Worn | None = None, tokens: int = 6) -> Said:
    *pieces, done = engine.generate(Request(messages, adapter, replace(SHORT, max_tokens=tokens)))
    assert isinstance(done, Finished)
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextChunk))
    return Said(text, done.cached_tokens, done.prompt_tokens, done.generated_tokens)


def opening(text: str = QUESTION) -> Turns:
    return (Turn(Role.USER, text),)


def went_on(messages: Turns, answer: str, question: str = "And the weather?") -> Turns:
    return (*messages, Turn(Role.ASSISTANT, answer), Turn(Role.USER, question))


@dataclass(frozen=True)
class Setting:
    """A base decoded one way, an engine on it, and adapters for it."""

    engine: LocalEngine
    fresh: Callable[[Turns, Worn | None, int], str]
    """What an engine says that remembers nothing."""
    base: InstalledBase
    adapters: list[Worn]

    def agrees(self, messages: Turns, adapter: Worn | None = None, tokens: int = 6) -> Said:
        """Say it, and hold it against a fresh engine."""
        said = say(self.engine, messages, adapter, tokens)
        assert said.text == self.fresh(messages, adapter, tokens)
        return said


@pytest.fixture
def setting(two: Two, tmp_path: Path) -> Setting:
    names = ("red", "green", "blue", "grey")
    adapters = [make_adapter(tmp_path / each, two.base, seed) for seed, each in enumerate(names)]

    def fresh(messages: Turns, adapter: Worn | None, tokens: int) -> str:
        two.other._load().prompts.forget()
        said = say(two.other, messages, adapter, tokens)
        assert said.cached == 0
        return said.text

    return Setting(two.engine, fresh, two.base, adapters)


def test_each_turn_reads_its_own_tokens_alone(setting: Setting) -> None:
    messages, before = opening(), 0
    for turn in range(5):
        said = setting.agrees(messages)
        assert said.cached < said.prompt
        if turn == 0:
            assert said.cached == 0
        else:
            assert said.cached >= before - 3  # the end of the last prompt and the answer may be one token
        before = said.prompt
        messages = went_on(messages, said.text)
    assert before > 60


def test_each_turn_with_an_adapter_reads_its_own_tokens_alone(setting: Setting) -> None:
    messages, cached = opening(), []
    for _ in range(4):
        said = setting.agrees(messages, setting.adapters[0])
        cached.append(said.cached)
        messages = went_on(messages, said.text)
    assert cached[0] == 0
    assert cached == sorted(set(cached))


def test_what_prompt_and_answer_share_with_the_next_prompt_is_read_once(setting: Setting) -> None:
    first = setting.agrees(opening(), tokens=12)
    loaded, messages = setting.engine._load(), went_on(opening(), first.text)
    [(_, context)] = loaded.prompts._kept
    assert len(context.ids) == first.prompt + first.generated - 1
    ids = loaded.prompt.encode_prompt(messages)
    same = [one == other for one, other in zip(context.ids, ids, strict=False)]
    assert setting.agrees(messages).cached == [*same, False].index(False)


def test_a_retry_reads_one_token(setting: Setting) -> None:
    first = setting.agrees(opening(), tokens=20)
    for _ in range(3):
        again = setting.agrees(opening(), tokens=20)
        assert again == replace(first, cached=first.prompt - 1)


def test_a_branch_shares_what_came_before_it(setting: Setting) -> None:
    first = setting.agrees(opening())
    trunk = went_on(opening(), first.text)
    setting.agrees(trunk)
    for question in ("What is the capital of France?", "Where is your shop?", "And the weather?"):
        branch = went_on(opening(), first.text, question)
        assert setting.agrees(branch).cached >= first.prompt - 3
    assert setting.agrees(trunk).cached >= first.prompt - 3


def test_an_earlier_conversation_is_still_there_after_others(setting: Setting) -> None:
    first, second = opening(), opening(OTHER)
    one, other = setting.agrees(first, tokens=12), setting.agrees(second, tokens=12)
    assert other.cached < one.prompt / 2
    for _ in range(2):
        first = went_on(first, one.text)
        one_more = setting.agrees(first, tokens=12)
        assert one_more.cached >= one.prompt - 3
        one = one_more
        second = went_on(second, other.text)
        other_more = setting.agrees(second, tokens=12)
        assert other_more.cached >= other.prompt - 3
        other = other_more


def test_adapters_back_and_forth_each_find_their_own(setting: Setting) -> None:
    worn: list[Worn | None] = [None, *setting.adapters]
    first = [setting.agrees(opening(), adapter) for adapter in worn]
    assert len({said.text for said in first}) == len(worn)
    assert {said.cached for said in first} == {0}
    for _ in range(2):
        again = [setting.agrees(opening(), adapter) for adapter in worn]
        assert [said.text for said in again] == [said.text for said in first]
        assert {said.prompt - said.cached for said in again} == {1}


def test_each_scale_finds_its_own(setting: Setting) -> None:
    worn = [replace(setting.adapters[0], scale=scale) for scale in (1.0, 0.5, -1.0, 0.0, 2.0)]
    first = [setting.agrees(opening(), adapter) for adapter in worn]
    assert len({said.text for said in first}) == len(worn)
    assert {said.cached for said in first} == {0}
    again = [setting.agrees(opening(), adapter) for adapter in reversed(worn)]
    assert [said.text for said in reversed(again)] == [said.text for said in first]
    assert {said.prompt - said.cached for said in again} == {1}


def test_a_conversation_that_changes_its_adapter_half_way_is_read_anew_by_it(setting: Setting) -> None:
    red, green = setting.adapters[:2]
    first = setting.agrees(opening(), red)
    second = setting.agrees(went_on(opening(), first.text), green)
    assert second.cached == 0
    third = setting.agrees(went_on(went_on(opening(), first.text), second.text), red)
    assert third.cached >= first.prompt - 3


def test_the_same_adapter_from_another_folder_says_the_same(setting: Setting, tmp_path: Path) -> None:
    red = setting.adapters[0]
    twin = make_adapter(tmp_path / "twin", setting.base, 0)
    assert twin.sha256 == red.sha256
    assert setting.agrees(opening(), red).text == setting.agrees(opening(), twin).text


def edited(adapter: Worn) -> None:
    path = adapter.folder / "adapter_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def test_an_adapter_edited_on_disk_is_refused_although_its_context_is_kept(setting: Setting) -> None:
    red, green = setting.adapters[:2]
    before = say(setting.engine, opening(), red)
    edited(red)
    with pytest.raises(RefusedError, match="edited"):
        say(setting.engine, opening(), red)
    setting.agrees(opening(), green)
    with pytest.raises(RefusedError, match="edited"):
        say(setting.engine, went_on(opening(), before.text), red)


def test_an_adapter_taught_anew_in_its_folder_gets_nothing_of_the_old_one(setting: Setting, tmp_path: Path) -> None:
    red, other = setting.adapters[0], make_adapter(tmp_path / "other", setting.base, 9)
    before = setting.agrees(opening(), red)
    (other.folder / "adapter_model.safetensors").replace(red.folder / "adapter_model.safetensors")
    after = setting.agrees(opening(), replace(red, sha256=other.sha256))
    assert after.cached == 0
    assert after.text != before.text


def test_a_reply_that_was_broken_off_or_left_leaves_what_is_right(setting: Setting) -> None:
    whole = setting.agrees(opening(), tokens=20)
    for pieces in (1, 2, 3):
        setting.engine._load().prompts.forget()
        reply: Any = setting.engine.generate(Request(opening(), None, replace(SHORT, max_tokens=20)))
        for _ in range(pieces):
            next(reply)
        reply.close()
        again = setting.agrees(opening(), tokens=20)
        assert again.text == whole.text
        assert again.cached == again.prompt - 1


def test_a_small_cache_forgets_and_says_the_same(setting: Setting) -> None:
    setting.engine._load().prompts._budget = 1
    worn: list[Worn | None] = [None, setting.adapters[0]]
    for _ in range(2):
        assert [setting.agrees(opening(), adapter).cached for adapter in worn] == [0, 0]
    assert setting.agrees(opening(), worn[-1]).cached > 0


def test_a_long_prompt_that_was_read_in_pieces_is_found_again(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_chat.engine.local.PREFILL_CHUNK", 7)
    long = opening(" ".join([QUESTION] * 3))
    first = setting.agrees(long)
    assert setting.agrees(went_on(long, first.text)).cached >= first.prompt - 3


def test_200_replies_by_turns_over_four_adapters_and_none_do_not_mix_and_are_not_read_twice(setting: Setting) -> None:
    choose = random.Random(5)
    worn: list[Worn | None] = [None, *setting.adapters]
    starts = [opening(), opening(OTHER)]
    talks: dict[tuple[int, int], Turns] = {}
    expected: dict[tuple[Turns, int], str] = {}
    reused = 0
    for _ in range(200):
        who, start = choose.randrange(5), choose.randrange(2)
        messages = talks.get((who, start), starts[start])
        if (messages, who) not in expected:
            expected[messages, who] = setting.fresh(messages, worn[who], 4)
        said = say(setting.engine, messages, worn[who], 4)
        assert said.text == expected[messages, who]
        reused += said.cached > said.prompt / 2
        retry, over = choose.random() < 0.3, len(messages) > 5
        if not retry:
            talks[who, start] = starts[start] if over else went_on(messages, said.text)
    assert reused > 120
    assert len(set(expected.values())) > 20
