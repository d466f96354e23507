"""A report as Markdown and as a picture: what is on it, and that no text of others ever breaks out of it."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lora_chat.text import clean
from lora_chat.training.events import Checked, Wrong
from lora_chat.training.proof.result import Answered, Better, Exam, Scores
from lora_chat.training.proof.share import Share
from lora_chat.training.report import svg
from lora_chat.training.report.markdown import to_markdown
from lora_chat.training.report.picture import HEIGHT, POINTS, WIDTH, to_svg
from lora_chat.training.report.record import Record
from lora_chat.training.report.words import (
    clock,
    count_of,
    distance,
    is_offered,
    left_out,
    mending,
    number,
    offer,
    verdict,
)
from tests.training.report.examples import BETTER, CURVE, EXAM, PROMPTED, REPORT, SCORES, WILD, least, record

NS = "{http://www.w3.org/2000/svg}"
ALONE = replace(EXAM, prompted=None, unprompted="The examples do not fit into the context.")


def drawn(text: str) -> ET.Element:
    return ET.fromstring(text)  # our own


def words(text: str) -> list[str]:
    return ["".join(each.itertext()) for each in drawn(text).iter(f"{NS}text")]


# The verdict


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, "It learnt a part of what it was taught (4 of 6 as taught, 1 not asked, 6 of 8 in other words); it lost 1 "
             "check that the version before held; it says what was taught on 1 of 10 near misses; a prompt with the "
             "same examples does better."),
        ({"exam": ALONE, "checks": None}, "It learnt what it was taught (6 of 6 as taught, 6 of 8 in other words); it "
             "says what was taught on 1 of 10 near misses."),
        ({"exam": None}, "It answers 4 of 6 checks rightly, 1 not asked; it lost 1 check that the version before "
             "held."),
        ({"exam": None, "checks": None}, "Nothing was asked of it, so that the losses alone say what it learnt."),
        ({"exam": replace(ALONE, scores=Scores(Share(0, 3), Share(1, 9), Share(0, 5), Share(0, 5))), "checks": None},
             "It learnt little (0 of 3 as taught, 1 of 9 in other words); it never says what was taught where "
             "something else is asked (0 of 10)."),
    ],
)  # fmt: skip
def test_the_verdict_answers_a_persons_questions_in_their_order(other: dict[str, Any], said: str) -> None:
    each = record(**other)
    assert verdict(each.report, each.checks, each.exam) == said


def told(exam: Exam, checks: Checked | None = None) -> str:
    return verdict(REPORT, checks, exam)


def few(**scores: Share) -> Exam:
    """Nothing is lost, and no prompt was asked."""
    return replace(ALONE, scores=replace(Scores(Share(2, 2), Share(0, 0), Share(0, 0), Share(0, 0)), **scores))


def held(hits: int, of: int, unasked: int = 0) -> Checked:
    return Checked(of, hits, of, (), (), unasked, "")


def test_all_checks_say_what_was_learnt_and_not_the_few_of_the_examination() -> None:
    assert told(few(), held(3, 20)) == "It learnt little (3 of 20 as taught)."
    assert told(few(recall=Share(3, 4)), held(20, 20)).startswith(
        "It learnt what it was taught (20 of 20 as taught, 3 of 4 in other words)"
    )
    assert told(few(recall=Share(0, 8)), held(20, 20)).startswith(
        "It learnt what it was taught, though hardly in other words (20 of 20 as taught, 0 of 8 in other words)"
    )
    assert told(few(), held(0, 0, 9)) == "It learnt what it was taught (2 of 2 as taught)."


@pytest.mark.parametrize(
    ("better", "said"),
    [
        ("adapter", "a prompt with the same examples does worse."),
        ("prompt", "a prompt with the same examples does better."),
        ("same", "a prompt with the same examples does as well."),
        ("unclear", "too few were asked to tell whether a prompt with the same examples would do as well."),
    ],
)
def test_a_prompt_is_better_or_worse_only_where_that_is_known(better: Better, said: str) -> None:
    exam = replace(EXAM, prompted=replace(PROMPTED, better=better))
    assert told(exam).endswith(f"; {said}")
    assert is_offered(exam) is (better == "prompt")


def test_nothing_fires_is_said_only_where_something_could() -> None:
    quiet = few(near=Share(0, 10), far=Share(0, 2))
    never = "it never says what was taught where something else is asked (0 of 12)."
    unheard = (
        "it was asked 12 questions that it was not taught, where its own answers are too short or too common to be "
    )
    assert told(quiet).endswith(never)
    assert told(replace(quiet, silent=1)).endswith(never)
    assert told(replace(quiet, silent=2)).endswith(f"{unheard}recognised.")
    assert told(replace(quiet, silent=3, unasked=4), held(3, 3, 1)).endswith(never)
    assert told(replace(quiet, silent=4, unasked=4), held(3, 3, 1)).endswith(f"{unheard}recognised.")
    for count, asked in ((1, "1 question"), (4, "4 questions")):
        assert told(few(far=Share(0, count))).endswith(
            f"; it was asked only {asked} that it was not taught, too few to tell whether it says there what it was "
            "taught."
        )
    assert "0 of 5" in told(few(far=Share(0, 5)))


LESS = replace(
    EXAM, unasked=4, unasked_checks=12, silent=1, prompted=replace(PROMPTED, unfit=3), unprompted="It has | no room."
)
LEFT_OUT = [
    "4 questions were not asked: there was no time.",
    "12 checks were not examined: it asks only so many.",
    "3 questions were not put to the base: the examples do not fit before them.",
    "1 check has an answer too short or too common to be recognised elsewhere.",
    "It has | no room.",
]


def test_what_the_counts_leave_out_is_said() -> None:
    assert [sentence for sentence, _ in left_out(LESS)] == LEFT_OUT
    assert list(left_out(replace(EXAM, unasked=0))) == []
    assert list(left_out(None)) == []
    text = to_markdown(record(exam=LESS))
    for sentence in LEFT_OUT:
        assert f"\n\n{sentence.replace('|', '&#124;')}\n\n" in text
    assert (
        "Left out: 4 questions: no time; 12 checks: too many; 3 questions: do not fit a prompt; "
        "1 check: cannot fire; a prompt: not asked."
    ) in words(to_svg(record(exam=LESS)))
    assert not any(each.startswith("Left out") for each in words(to_svg(record(exam=replace(EXAM, unasked=0)))))


def test_where_near_misses_fired_it_says_what_to_do() -> None:
    assert mending(EXAM) == (
        "It says what was taught where something else was asked: ask this in the chat, write the answer you want there "
        "(/edit), then `/train continue`: “When do you close?”."
    )
    near = replace(EXAM.answers[2], question="Is\nit " + "long " * 99)
    several = mending(replace(EXAM, answers=(near,) * 9))
    assert "ask one of these in the chat" in several
    assert several.count("“Is it long") == 3
    assert len(several) < 500
    assert mending(replace(EXAM, answers=EXAM.answers[:2])) == mending(None) == ""
    assert "then `/train continue`." in to_markdown(record())
    assert "/train" not in to_markdown(record(exam=replace(EXAM, answers=EXAM.answers[:2])))


def test_figures_are_read_at_a_glance() -> None:
    assert [number(each) for each in (0.0214, math.nan, math.inf, 1e9)] == [
        "0.021",
        "not a number",
        "infinite",
        "1.0e+09",
    ]
    assert [clock(each) for each in (9, 124.3, 3725, math.nan)] == ["0:09", "2:04", "1:02:05", "unknown"]
    assert distance(REPORT) == "0.021 (0.012–0.034), 32 answers, bound 0.25"
    assert distance(replace(REPORT, general_kl_low=None, general_answers=0)) == "0.021, bound 0.25"


# Markdown


def test_markdown_tells_it_all_in_order() -> None:
    text = to_markdown(record(kept="it lost a check."))
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads == [
        "# shop 1.1.0",
        "## What it saw",
        "## Losses",
        "## What it learnt",
        "## Checks",
        "## Side by side",
        "## Time and size",
    ]
    for line in (
        "On smollm2-135m, grown from 1.0.0, from your own chats, 2025-11-24",
        "- 2,310 tokens, 1,020 of them supervised",
        "- left out: 31 unrated, 4 stopped",
        "- masked: 2 e-mail, 1 card",
        "| held out | 2.910 | 1.840 |",
        "|  | adapter | base with the 6 examples in its prompt |",
        "| right in other words | 6 of 8 (41–93 %) | 7 of 8 (53–98 %) |",
        "answers (1,480 tokens), nats per token: 0.021 (0.012–0.034), 32 answers, bound 0.25.",
        f"{BETTER} The report offers it as a preset: `lora-chat report shop --version 1.1.0 --preset PRESETNAME`.",
        "It was kept and not worn by itself: it lost a check.",
        "| When do you open? | We open at nine, matey. | We are never open. | lost |",
        "| When do you close? | near miss |  | At six. | ✗ We open at nine, matey. | ✗ At nine. |",
        "4 of 6 hold, 2 new, 1 lost, 1 not asked.",
        "which know English only; every answer is greedy",
    ):
        assert line in text


def test_markdown_leaves_out_what_is_not_known() -> None:
    text = to_markdown(least())
    assert "Nobody asked this version questions of its own." in text
    for head in ("What it saw", "What it learnt", "Checks", "Side by side"):
        assert f"## {head}" not in text
    alone = to_markdown(record(exam=ALONE))
    assert "The examples do not fit into the context." in alone
    assert "preset" not in alone
    fewer = replace(PROMPTED, adapter=replace(SCORES, recall=Share(4, 5)), better="adapter")
    assert "| adapter, of what both were asked |" in to_markdown(record(exam=replace(EXAM, prompted=fewer)))
    assert "preset" not in to_markdown(record(exam=replace(EXAM, prompted=fewer)))
    assert "report shop --preset" in offer("shop", "no `version`")


# The picture


def test_the_picture_has_the_figures_and_stands_alone() -> None:
    text = to_svg(record())
    said = words(text)
    for each in ("shop 1.1.0", "train", "held out", "Right in other words", "6 of 8 (41–93 %)", "7 of 8 (53–98 %)",
                 "base with 6 examples", "4 of 6 hold", "1 lost · 1 not asked", "KL, 32 answers", "0.021",
                     "0.012–0.034 · bound 0.25", "2:04",
                     "60 steps", "1.31 GB", "2.44 M", "1.78 % of 137 M"):  # fmt: skip
        assert each in said
    assert "prefers-color-scheme:dark" in text
    for word in ("<script", "href", "url(", "@import", "@font-face", "<image", "<foreignObject"):
        assert word not in text


CASES = {
    "all": record(),
    "least": least(),
    "nothing": least(losses=()),
    "no exam": record(exam=None),
    "no checks": record(checks=None),
    "no prompt": record(exam=ALONE),
    "no held-out": record(heldout=()),
    "one step": record(losses=(2.5,), heldout=((0, 2.5),)),
    "level": record(losses=(0.5,) * 9, heldout=()),
    "zero": record(losses=(0.0,) * 9, heldout=()),
    "thousands": record(losses=CURVE * 34, heldout=tuple((at, 2.0) for at in range(0, 2000, 5))),
    "wild": record(losses=WILD, heldout=((0, math.nan), (3, math.inf))),
    "no number": record(report=replace(REPORT, seconds=math.nan, general_kl_after=math.nan, general_kl_high=math.inf)),
    "huge": record(
        report=replace(REPORT, seconds=1e9, memory=10**16, trainable_parameters=10**15, general_kl_after=1e9)
    ),
    "long": record(adapter="w" * 300, version="W" * 300, base="漢" * 300, made=math.nan),
    "left out": record(exam=replace(LESS, unprompted="w" * 300)),
    "nothing asked": record(exam=replace(EXAM, answers=(), scores=Scores(*[Share(0, 0)] * 4)), made=1e300),
}


@pytest.mark.parametrize("each", CASES.values(), ids=CASES)
def test_whatever_happened_everything_is_on_the_picture(each: Record) -> None:
    text = to_svg(each)
    assert "nan" not in text.replace("prefers", "").casefold().split("<style>")[0]
    assert to_markdown(each)
    for element in drawn(text).iter():
        for key, most in (("x", WIDTH), ("x1", WIDTH), ("x2", WIDTH), ("cx", WIDTH), ("y", HEIGHT), ("y1", HEIGHT),
                          ("y2", HEIGHT), ("cy", HEIGHT)):  # fmt: skip
            assert 0 <= float(element.get(key, "0")) <= most, ET.tostring(element)
        if element.tag == f"{NS}text":
            size, room = float(element.get("font-size", "0")), svg.width("".join(element.itertext()), 1)
            long = size * room
            begin = (
                float(element.get("x", "0")) - {None: 0.0, "end": 1.0, "middle": 0.5}[element.get("text-anchor")] * long
            )
            assert begin >= 0, ET.tostring(element)
            assert begin + long <= WIDTH, ET.tostring(element)
        assert len(element.get("points", "").split()) <= POINTS
        for pair in element.get("points", "").split():
            x, y = map(float, pair.split(","))
            assert 40 <= x <= 460
            assert 160 <= y <= 370


def test_losses_that_would_flatten_the_curve_are_left_out_and_counted() -> None:
    assert "6 are no numbers or beyond 10,000" in words(
        to_svg(record(losses=WILD, heldout=((0, math.nan), (3, math.inf))))
    )
    assert "1 loss is no number or beyond 10,000" in words(to_svg(record(losses=(*CURVE, math.nan))))


def test_ticks_are_round_and_text_is_cut_to_its_room() -> None:
    assert svg.ticks(0, 3.1) == [0, 1, 2, 3]
    assert svg.ticks(1, 1) == [1]
    assert svg.fitted("abcdef", 1000, 12) == "abcdef"
    assert svg.fitted("a" * 100, 60, 12).endswith("a…")
    assert svg.width(svg.fitted("漢" * 100, 60, 12), 12) <= 60
    assert svg.wrapped("one two three", 60, 12, 2)[0] == "one two"
    assert len(svg.wrapped("word " * 99, 100, 12, 2)) == 2
    assert svg.thinned([(float(at), 1.0) for at in range(1000)], 10) == [(at * 100 + 49.5, 1.0) for at in range(10)]


# Texts of others


NASTY = [
    "a | b",
    "\\| x |",
    "**bold** _x_ ~~y~~",
    "[x](http://evil)",
    "![x](http://evil)",
    "<script>alert(1)</script>",
    "# head",
    "\n# head\n\n---\n",
    "`code` ``",
    "\\",
    "&lt;b&gt; &amp;",
    "</text></svg><script/>",
    "]]>",
    "<!--",
    "http://evil.example",
    "www.evil.example",
    "me@evil.example",
    "\x1b[31m\u202e\x00\ud800\ufffe",
    "\u2028| x",
    "- x",
    "1. x",
    "$x$ ==y== ^z^",
]
texts = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=60), st.lists(st.sampled_from(NASTY), max_size=4).map("".join)
)


def hostile(text: str) -> Record:
    wrong = Wrong(text, text, text)
    return record(
        base=text,
        source=text,
        after=text,
        kept=text,
        recipe={text: text},
        report=replace(REPORT, stopped_because=text, forgot=text, dataset_sha256=text),
        saw=replace(
            record().saw or pytest.fail("it saw something"), dropped={text: 1}, private={text: 1}, kept={text: 2}
        ),
        checks=Checked(2, 0, 0, (wrong,), (wrong,), 0, text),
        exam=replace(
            EXAM,
            answers=(Answered("taught", text, text, text, True, text, text, False, text),),
            prompted=replace(PROMPTED, sentence=text),
        ),
    )


def structure(text: str) -> list[tuple[str, list[str]]]:
    """Each block of a Markdown text, and what its inline parts are but text."""
    tokens = MarkdownIt("gfm-like", {"html": True, "linkify": True}).parse(text)
    plain = {"text", "softbreak", "text_special"}
    return [
        (each.type, [child.type for child in each.children or [] if child.type not in plain])
        for each in tokens
        if each.type != "inline" or any(child.type not in plain for child in each.children or [])
    ]


HARMLESS = structure(to_markdown(hostile("x")))


@settings(max_examples=40, deadline=None)
@given(texts)
def test_no_text_breaks_out_of_the_markdown(text: str) -> None:
    found = to_markdown(hostile(text))
    assert clean(found) == found
    if svg.plain(text):  # without any the lines that hold nothing else are empty
        assert structure(found) == HARMLESS


@settings(max_examples=40, deadline=None)
@given(texts)
def test_no_text_breaks_out_of_the_picture(text: str) -> None:
    found = to_svg(replace(hostile(text), adapter=text, version=text))
    tags = {element.tag.removeprefix(NS) for element in drawn(found).iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "text", "line", "polyline", "circle"}
    assert len(list(drawn(found).iter())) == len(list(drawn(to_svg(hostile("x"))).iter()))
    assert clean(found) == found


@pytest.mark.parametrize(("count", "said"), [(1, "1 example"), (6, "6 examples"), (1200, "1,200 examples")])
def test_one_example_is_one(count: int, said: str) -> None:
    assert count_of(count, "example") == said
