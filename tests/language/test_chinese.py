"""The Chinese of what is said below the window: all of it, and nothing that nobody says."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lora_chat import language
from lora_chat.language import catalogue
from lora_chat.language.catalogue import HOLE, PLACE, Catalogue
from tests.language import english

FILES = Path(catalogue.__file__).parent / "zh"
SAID = catalogue.sentences("zh")
OWN = [*english.LAYERS, "words"]
"""The files that are held here; those of the window's labels and of the commands' help have tests of their own."""


@pytest.fixture
def chinese() -> Iterator[None]:
    language.speak("zh")
    yield
    language.speak("en")


@cache
def entries(name: str) -> dict[str, str]:
    return tomllib.loads((FILES / f"{name}.toml").read_text(encoding="utf-8"))


def all_entries() -> Iterator[tuple[str, str]]:
    for name in OWN:
        yield from entries(name).items()


@pytest.mark.parametrize("layer", english.LAYERS)
def test_each_sentence_has_its_chinese(layer: str) -> None:
    missing = [f'{each.place}: add "{each.english}"' for each in english.said(layer) if each.english not in SAID]
    assert not missing, f"to lora_chat/language/zh/{layer}.toml, or to NOBODY in tests/language/english.py"


@pytest.mark.parametrize("layer", english.LAYERS)
def test_what_nobody_says_any_more_is_taken_out(layer: str) -> None:
    assert sorted(set(entries(layer)) - english.texts()) == []


def test_what_nobody_is_shown_is_still_in_the_code() -> None:
    assert sorted(set(english.NOBODY) - english.texts()) == []
    assert [name for name in english.UNSAID if not (english.CODE / name).exists()] == []


def test_no_sentence_stands_in_two_files_in_two_ways() -> None:
    """The window's and the commands' among them: one of two would win, and nobody chose it."""
    ways: dict[str, dict[str, str]] = {}
    for path in sorted(FILES.glob("*.toml")):
        for said_in_english, said in entries(path.stem).items():
            ways.setdefault(said_in_english, {})[path.name] = said
    assert {each: files for each, files in ways.items() if len(set(files.values())) > 1} == {}


def test_an_entry_is_found_as_itself_whatever_stands_in_its_holes() -> None:
    """A more general one must not take its sentences."""
    numbered = list(SAID)
    as_numbers = {
        each: f"#{number}#"
        + "".join(place[0] for place in PLACE.finditer(SAID[each]) if place[2] in (":n", ":c", ":w"))
        for number, each in enumerate(numbered)
    }
    found = Catalogue(as_numbers)
    taken = []
    for number, each in enumerate(numbered):
        said = found.say(sample(each, SAID[each]))
        if not said.startswith(f"#{number}#"):
            by = numbered[int(match[1])] if (match := re.match(r"#(\d+)#", said)) else "nothing"
            taken.append(f"{each!r} by {by!r}")
    assert taken == []


def sample(template: str, said: str) -> str:
    """A sentence of it: figures where it wants some, and else a name; the first of two holes side by side is empty."""
    kinds = {int(place[1]): place[2] for place in PLACE.finditer(said)}
    pieces = template.split(HOLE)
    whole = pieces[0]
    for number, piece in enumerate(pieces[1:]):
        beside = not piece and number < len(pieces) - 2
        ending = whole[-1:].isalpha() and number not in kinds
        in_it = {":n": "12", ":c": "12 parts"}.get(kinds.get(number) or "", "" if beside or ending else "xyz")
        whole += in_it + piece
    return whole


def test_no_hole_of_a_sentence_is_lost() -> None:
    """But endings of the plural, the first of two side by side, which is always empty, and a name that stands twice."""
    lost = []
    for said_in_english, said in all_entries():
        pieces = said_in_english.split(HOLE)
        there = {int(place[1]) for place in PLACE.finditer(said)}
        assert there <= set(range(len(pieces) - 1)), said_in_english
        for number in range(len(pieces) - 1):
            is_ending = pieces[number][-1:].isalpha()
            is_empty = not pieces[number + 1] and number + 2 < len(pieces)
            assert not (is_empty and number in there), f"{said_in_english}: hole {number} is always empty"
            if number not in there and not is_ending and not is_empty and (said_in_english, number) not in LEFT_OUT:
                lost.append((said_in_english, number))
    assert lost == []


LEFT_OUT = {
    ("{} {} with the old question: a training learns from what is shown, ← shows it again.", 1),
    ("{} {} deleted{}: /undo brings {} back, until you leave.", 1),
    ("{} {} deleted{}: /undo brings {} back, until you leave.", 3),
    ("{} {} back.", 1),
    ("{} is being trained{}. Pause {} until the next start, finish {} without this window, or stay?", 2),
    ("{} is being trained{}. Pause {} until the next start, finish {} without this window, or stay?", 3),
}
"""Holes of grammar alone, such as ``is`` and ``are``."""


def test_an_entry_says_something_of_its_own() -> None:
    """What is nearly all holes would be found everywhere."""
    loose = [
        each
        for each, said in all_entries()
        if HOLE in each and len(re.findall("[A-Za-z]", each.replace(HOLE, ""))) < 5 and not re.search(":[nc]}", said)
    ]
    assert sorted(loose) == sorted(SHORT)


SHORT = ["from {}", "over {}", "{}{} fit{}.", "fits {}", "sha256 {}", "with {}", '"{}" in it {}', '"{}" is {}']
"""Entries of few letters that are found nowhere else all the same: they begin or end as nothing else does."""


def test_the_chinese_is_written_as_the_others_are() -> None:
    """Full-width punctuation, no half-width between Chinese letters, no 你, and a full stop where there was one."""
    wrong = []
    for said_in_english, said in all_entries():
        bare = PLACE.sub("", re.sub(r"`[^`]*`|“[^”]*”", "", said))
        if re.search(r"[\u4e00-\u9fff][,;:!?()]|[,;!?][\u4e00-\u9fff]|你", bare):
            wrong.append(said)
        if re.search(r"[A-Za-z0-9][\u4e00-\u9fff]|[\u4e00-\u9fff][A-Za-z0-9]", bare):
            wrong.append(said)
        if re.search(r"[^A-Z]\.$", said_in_english) and not said.endswith(("。", "}")):
            wrong.append(said)
    assert wrong == []


@pytest.mark.parametrize(
    ("said_in_english", "said"),
    [
        (
            'There is no adapter called "pirat"; did you mean pirate? (`lora-chat adapter list`, or /adapter in the '
            "chat, shows them all).",
            "没有名为“pirat”的适配器；您是想说 pirate 吗？（`lora-chat adapter list`，或聊天中的 /adapter，"
            "列出全部）。",
        ),
        (
            'Cannot use /a/b: its JSON is not valid (the key "r" stands twice); correct it, or fetch it again.',
            "无法使用 /a/b：其 JSON 无效（键“r”出现了两次）；请更正，或重新获取。",
        ),
        (
            "/a/b.jsonl was not imported, nothing was changed. line 3: is not JSON; line 12: message 2 is empty (and 4 "
            "more).",
            "/a/b.jsonl 没有导入，没有任何改变。第 3 行：不是 JSON；第 12 行：第 2 条消息是空的（另有 4 个）。",
        ),
        (
            "3 messages are deleted, 1 answer that you vouched for among them: /undo brings them back, until you "
            "leave.",
            "已删除 3 条消息（其中包括 1 个您认可的回答）：在您离开之前，/undo 可以恢复。",
        ),
        (
            "There is nothing to learn in the history (5 rated bad, 3 unrated): rate an answer good or write the one "
            "you wanted, with `lora-chat history rate` and `history edit` or /rate and /edit in the chat.",
            "历史中没有可学习的内容（5 个评为差，3 个未评价）：请用 `lora-chat history rate` 和 `history edit`，"
            "或聊天中的 /rate 和 /edit，把一个回答评为好，或写下您想要的回答。",
        ),
        (
            "It learnt what it was taught (7 of 8 as taught, 5 of 6 in other words); it never says what was taught "
            "where something else is asked (0 of 12).",
            "它学会了所教的内容（按所教 8 中的 7，换种说法 6 中的 5）；"
            "被问到别的内容时，它从不说出所教的内容（12 中的 0）。",
        ),
        (
            "41 of 45 checks hold; 1 lost: “Where is it?” now answers nothing.",
            "45 项检查中 41 项通过；1 项丢失：“Where is it?”现在回答没有。",
        ),
        ("pirate, formal and 2 more fit.", "适配的有：pirate，formal，另有 2 个。"),
        ("12 conversations with 14 examples, 1,204 tokens", "12 段对话，共 14 个例子，1,204 词元"),
        (
            "The base model x is not on this machine: run `lora-chat model pull x`.",
            "基础模型 x 不在这台机器上：请运行 `lora-chat model pull x`。",
        ),
        ("Cannot read /a ([Errno 13]): correct its permissions.", "无法读取 /a（[Errno 13]）：请更正其权限。"),
        ("Cannot read /a (Permission denied): correct its permissions.", "无法读取 /a（权限不足）：请更正其权限。"),
        (
            "worn · 3 of 4 hold · 2 conversations, 12 steps · 4.9 MB · sha256 12ab34cd56ef",
            "佩戴中 · 4 项中 3 项通过 · 2 段对话，12 步 · 4.9 MB · sha256 12ab34cd56ef",
        ),
        (
            "x is taken away; 1.2 GB are deleted. It was the default: /model default NAME makes another one that.",
            "x 已移除；删除 1.2 GB。它原是默认模型：用 /model default NAME 另选一个。",
        ),
        ("King of Pirates", "King of Pirates"),
        ("Fish and chips", "Fish and chips"),
    ],
)
def test_composed_sentences_are_said_whole(chinese: None, said_in_english: str, said: str) -> None:
    assert language.tr(said_in_english) == said
