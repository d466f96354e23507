"""A sentence is found by its English, with what changes in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lora_chat import language
from lora_chat.language import catalogue

SAID = catalogue.Catalogue(
    {
        "Stopped.": "已停止。",
        "{} is not installed{}": "未安装 {0}{1:tr}",
        "; did you mean {}?": "；您是想说 {0} 吗？",
        "{} example{}": "{0} 个例子",
        "{} of {} example{}": "{1} 个例子中的 {0} 个",
        "Moved {} to {}.": "已把 {0} 移到 {1}。",
    }
)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    language.speak("en")


@pytest.mark.parametrize(
    ("english", "said"),
    [
        ("Stopped.", "已停止。"),
        ("pirate is not installed", "未安装 pirate"),
        ("pirat is not installed; did you mean pirate?", "未安装 pirat；您是想说 pirate 吗？"),
        ("1 example", "1 个例子"),
        ("3 of 12 examples", "12 个例子中的 3 个"),
        ("Moved a to b to c.", "已把 a 移到 b to c。"),
        ("Stopped. Moved a to b.", "已停止。已把 a 移到 b。"),
        ("  Stopped.\n", "  已停止。\n"),
        ("nobody wrote this", "nobody wrote this"),
        ("", ""),
    ],
)
def test_a_sentence_is_said_with_what_changes_in_it(english: str, said: str) -> None:
    assert SAID.say(english) == said


def test_what_people_wrote_is_left_as_it_is_inside_a_sentence() -> None:
    assert SAID.say("Stopped. is not installed") == "未安装 Stopped."


def test_text_that_is_made_to_be_slow_is_not() -> None:
    assert catalogue.held(["", " of ", " of ", " of ", "!"], " of " * 100_000) is None


@pytest.mark.parametrize("beginning", ["The base answers. ", "a: b; c, ", "Moved 1 of 2 to it and ", "Cannot use x: "])
def test_text_that_is_made_to_be_deep_is_said_to_a_depth_only(beginning: str) -> None:
    nested = catalogue.Catalogue({"{} The base answers.": "{0:tr}回答。", "Cannot use {}: {}": "不用 {0}：{1:tr}"})
    assert nested.say(beginning * (catalogue.LONGEST // len(beginning)))


@pytest.mark.parametrize(
    ("setting", "environment", "expected"),
    [
        ("auto", {}, "en"),
        ("auto", {"LANG": "zh_CN.UTF-8"}, "zh"),
        ("auto", {"LANG": "zh"}, "zh"),
        ("auto", {"LANG": "zh-Hant-TW"}, "zh"),
        ("auto", {"LANG": "zha_CN.UTF-8"}, "en"),
        ("auto", {"LANG": "de_DE.UTF-8"}, "en"),
        ("auto", {"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ("auto", {"LANG": "en_US.UTF-8", "LC_ALL": "zh_TW"}, "zh"),
        ("auto", {"LANG": "zh_CN", "LC_ALL": ""}, "zh"),
        ("zh", {"LANG": "C"}, "zh"),
        ("en", {"LANG": "zh_CN"}, "en"),
    ],
)
def test_the_setting_comes_before_the_environment(setting: str, environment: dict[str, str], expected: str) -> None:
    assert language.chosen(setting, environment) == expected


def test_english_is_spoken_until_another_is_chosen_and_again() -> None:
    assert language.tr("Stopped.") == "Stopped."
    language.speak("zh")
    assert language.spoken() == "zh"
    language.speak("en")
    assert (language.spoken(), language.tr("Stopped.")) == ("en", "Stopped.")
