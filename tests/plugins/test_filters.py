"""Filters of plugins: what is learnt passes them, what they leave out is told, and nothing is trained without them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.paths import Paths
from lora_chat.plugins import limits
from lora_chat.plugins.filters import MOST_REASONS, Filters
from lora_chat.plugins.manager import Plugins
from lora_chat.training.choosing.reasons import explained
from lora_chat.training.lesson import Lesson, Selection
from tests.cli.conftest import Run, examples, run, same_environment, tiny, tiny_home
from tests.plugins.conftest import Host

__all__ = ["examples", "run", "same_environment", "tiny", "tiny_home"]

HEAD = """
from lora_chat.plugins.api import Example, Refused, hookimpl

@hookimpl
def lora_chat_example_filters(registrar):
    registrar.add("short", keep, help="long answers")

"""


def source(body: str) -> str:
    """A filter called short whose ``keep`` has ``body``."""
    return HEAD + "def keep(example):\n" + "".join(f"    {line}\n" for line in body.splitlines())


SHORT = source("return all(len(answer) < 10 for answer in example.answers)")


def lesson(said: str, at: str = "line 1", *, answers: int = 1) -> Lesson:
    turns = [Turn(Role.SYSTEM, "Be brief."), *([Turn(Role.USER, "Hello"), Turn(Role.ASSISTANT, said)] * answers)]
    return Lesson(tuple(turns), tuple(range(2, len(turns), 2)), at, ("example",) * answers)


BOTH = Selection((lesson("A short.", "line 1"), lesson("Rather a long one.", "line 2", answers=2)), {"unrated": 4})


@pytest.fixture
def filters(host: Host) -> Filters:
    return Filters(host.plugins)


def enabled(host: Host, body: str = "", name: str = "tidy", called: str = "short") -> None:
    host.put(name, (source(body) if body else SHORT).replace('"short"', f'"{called}"'))
    host.enable(name)


def test_where_there_is_none_everything_passes_and_nothing_is_told(host: Host, filters: Filters) -> None:
    host.put("tidy", SHORT)
    assert filters.through(BOTH) == BOTH
    assert (filters.told, filters.labels, filters.not_asked) == ((), (), {})


def test_what_it_leaves_out_is_counted_by_answers_with_its_name(host: Host, filters: Filters) -> None:
    enabled(host)
    left = filters.through(BOTH)
    assert left.lessons == BOTH.lessons[:1]
    assert left.dropped == {"unrated": 4, "filtered by tidy/short": 2}
    assert filters.told == ("by the filter tidy/short",)
    assert explained("filtered by tidy/short", 2) == (
        "2 filtered by tidy/short: a filter of a plugin you enabled; disable the plugin to train without it"
    )


def test_it_is_given_all_that_would_be_learnt_and_knows_what_is_context(host: Host, filters: Filters) -> None:
    seen = "repr((example.turns[0].content, example.turns[1].role.value, example.learnt, example.source, example.why))"
    enabled(host, f"return True if len(example.answers) == 1 else {seen}[:60]")
    told = filters.through(BOTH).dropped
    assert "filtered by tidy/short (('Be brief.', 'user', (2, 4), 'line 2', ('example', 'example)" in told


def test_several_are_asked_one_after_the_other_and_each_counts_its_own(host: Host, filters: Filters) -> None:
    enabled(host)
    enabled(host, "return 'too early' if example.source == 'line 1' else True", "early", "late")
    more = Selection((*BOTH.lessons, lesson("third", "line 3")), {})
    left = filters.through(more)
    assert left.lessons == more.lessons[2:]
    assert left.dropped == {"filtered by early/late (too early)": 1, "filtered by tidy/short": 2}
    assert filters.labels == ("early/late", "tidy/short")


def test_one_name_for_both_is_said_once(host: Host, filters: Filters) -> None:
    enabled(host, name="short")
    assert "filtered by short" in filters.through(BOTH).dropped


def test_all_left_out_is_said_with_how_many_by_which_reason(host: Host, filters: Filters) -> None:
    enabled(host, "return '' if len(example.answers) > 1 else True")
    enabled(host, "return 'too early' if example.source == 'line 1' else True", "late", "late")
    with pytest.raises(RefusedError) as refused:
        filters.through(BOTH)
    counted = "2 filtered by tidy/short, 1 filtered by late (too early)"
    advice = "correct the filter or the answers, or disable its plugin."
    assert str(refused.value) == f"Nothing is left to learn of 3 answers ({counted}): {advice}"
    assert filters.through(Selection((), {})).lessons == ()


def test_of_many_reasons_the_most_frequent_are_said_and_the_rest_counted(host: Host, filters: Filters) -> None:
    enabled(host, "return 'x' * int(example.source)")
    many = Selection(tuple(lesson(f"{at} {each}", f"{at}") for at in range(1, 8) for each in range(at)), {})
    with pytest.raises(RefusedError) as refused:
        filters.through(many)
    said = str(refused.value)
    assert said.startswith("Nothing is left to learn of 28 answers (7 filtered by tidy/short (xxxxxxx), 6 filtered by")
    assert ", 4 filtered by tidy/short (xxxx), 6 for 3 other reasons): correct the filter" in said


def test_what_was_said_of_an_example_holds_for_the_whole_plan(host: Host, filters: Filters, tmp_path: Path) -> None:
    enabled(host, f"open({str(tmp_path / 'asked')!r}, 'a').write(example.source + ';')\nreturn True")
    filters.through(BOTH)
    filters.through(Selection((*BOTH.lessons, lesson("third", "line 3")), {}))
    assert (tmp_path / "asked").read_text("utf-8") == "line 1;line 2;line 3;"


def test_the_chat_does_not_wait_for_ever_and_the_command_line_does(host: Host) -> None:
    enabled(host, "return True")
    with pytest.raises(RefusedError) as refused:
        Filters(host.plugins, within_s=0).through(BOTH)
    assert str(refused.value) == (
        "The filter tidy/short looked at 1 of 2 examples in 0 s, and the chat waits no longer: `lora-chat train` does, "
        "or disable it."
    )
    assert host.state("tidy") == ("on", "")
    assert Filters(host.plugins).through(BOTH) == BOTH


BREAKS = {
    "import re; return bool(re.match('(a|a)+$', 'a' * 60 + 'b'))": "it gave no sign of life for 0.5 seconds",
    "raise ValueError('no \\x1b[2Jnames')": "it raised ValueError: no [2Jnames (line 9 of plugin.py)",
    "import sys; sys.exit()": "it called sys.exit",
    "import os; os._exit(3)": "its process ended by itself (code 3)",
    "print('kept'); return True": "it printed “kept”",
    "import os; os.system('echo shell'); return True": "it printed “shell”",
    "while True: pass": "it gave no sign of life for 0.5 seconds",
    "import time; time.sleep(99)": "it gave no sign of life for 0.5 seconds",
    "pass": "a filter answers True, False or a reason, and this one a NoneType",
    "return 1": "and this one a int",
    "return [True]": "and this one a list",
}


@pytest.mark.parametrize(("body", "said"), BREAKS.items(), ids=range(len(BREAKS)))
def test_one_that_breaks_is_switched_off_and_nothing_is_trained(
    host: Host,
    filters: Filters,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    body: str,
    said: str,
) -> None:
    enabled(host, body)
    if "no sign" in said:
        monkeypatch.setattr(limits, "FILTER_S", 0.5)
    with pytest.raises(RefusedError) as refused:
        filters.through(BOTH)
    sentence = str(refused.value)
    assert sentence.startswith("Nothing is trained, as the filter tidy/short is switched off (")
    assert said in sentence
    assert sentence.endswith("`lora-chat plugin enable tidy`, or train again without it.")
    assert sentence == sentence.replace("\x1b", "")
    assert host.state("tidy")[0] == "switched off"
    assert capfd.readouterr() == ("", "")


def test_what_broke_is_not_gone_without_a_word(host: Host, filters: Filters) -> None:
    """The same plan goes on refusing; the next one is told."""
    enabled(host, "return True if example.source == 'line 1' else 1/0")
    filters.through(Selection(BOTH.lessons[:1], {}))
    with pytest.raises(RefusedError, match="division by zero"):
        filters.through(BOTH)
    with pytest.raises(RefusedError, match="tidy/short, which this plan was begun with, does not run any more"):
        filters.through(BOTH)
    anew = Filters(host.plugins)
    assert anew.through(BOTH) == BOTH
    assert anew.told[0].startswith("not by the filter tidy/short: switched off, as it raised ZeroDivisionError")


def test_its_own_no_is_said_and_it_stays_on(host: Host, filters: Filters) -> None:
    enabled(host, "raise Refused('There is no \\x1blist of names in /x: write one.')")
    with pytest.raises(RefusedError, match=r"^There is no list of names in /x: write one\.$"):
        filters.through(BOTH)
    assert host.state("tidy") == ("on", "")


def test_one_that_was_changed_is_not_passed_over(host: Host, filters: Filters) -> None:
    enabled(host)
    host.put("tidy", SHORT + "# other\n")
    with pytest.raises(RefusedError) as refused:
        filters.through(BOTH)
    assert str(refused.value) == (
        "Nothing is trained, as the filter tidy/short does not run (its files are others than those you enabled): "
        "`lora-chat plugin enable tidy` has it again, `lora-chat plugin disable tidy` trains without it."
    )
    host.plugins.disable("tidy")
    assert filters.through(BOTH) == BOTH


def test_one_whose_folder_is_broken_is_not_passed_over(host: Host, filters: Filters) -> None:
    enabled(host)
    (host.paths.plugins / "tidy" / "plugin.toml").write_text("name = ", encoding="utf-8")
    with pytest.raises(RefusedError, match=r"as the filter tidy/short cannot run \(.*TOML.*\): mend it, or remove its"):
        filters.through(BOTH)


def test_one_whose_files_are_gone_is_told_until_it_is_disabled(host: Host, filters: Filters) -> None:
    enabled(host)
    shutil.rmtree(host.paths.plugins / "tidy")
    assert filters.through(BOTH) == BOTH
    gone = "its files are not here any more; `lora-chat plugin disable tidy` has it forgotten"
    assert filters.told == (f"not by the filter tidy/short: {gone}",)
    assert host.plugins.disable("tidy") is None
    assert filters.through(BOTH) == BOTH
    assert not filters.told
    with pytest.raises(NotFoundError):
        host.plugins.disable("tidy")


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_one_that_is_changed_behind_its_running_process_is_not_asked_again(host: Host, filters: Filters) -> None:
    enabled(host)
    filters.through(BOTH)
    host.put("tidy", source("return True"))
    with pytest.raises(RefusedError, match="does not run"):
        filters.through(BOTH)


def test_the_safe_mode_asks_none_and_says_so(host: Host) -> None:
    enabled(host)
    safe = Filters(Plugins(host.paths, safe=True))
    assert safe.through(BOTH) == BOTH
    assert safe.told == ("not by the filter tidy/short: safe mode runs none",)


def test_one_that_the_person_disabled_is_not_spoken_of(host: Host, filters: Filters) -> None:
    enabled(host)
    host.plugins.disable("tidy")
    assert filters.through(BOTH) == BOTH
    assert filters.told == ()


def test_what_it_says_is_cleaned_cut_and_of_a_handful_of_kinds(host: Host, filters: Filters) -> None:
    many = Selection((*(lesson(f"{number}", f"{number}") for number in range(40)), lesson("kept", "k")), {})
    host.put("tidy", source("return example.source == 'k' or example.source + '\\x1b[2J\\n\\u202e' + 'x' * 10_000"))
    host.enable("tidy")
    dropped = filters.through(many).dropped
    assert len(dropped) == MOST_REASONS + 1
    assert dropped["filtered by tidy/short"] == 40 - MOST_REASONS
    assert all(len(reason) <= 90 and reason.isprintable() for reason in dropped)


FORGED = {
    'pipe.say(item="yes"); pipe.say(item=True)': "its filter answered what nobody asked",
    "pipe.say(item={})": "its filter answered what nobody asked",
    "pipe.say(ask=['next']); pipe.say(ask=['next'])": "asked for the next example before it had answered",
    "pipe.say(ask=['rm'])": "asked for the next example before it had answered",
    "pipe.say(done=None)": "its filter did not look at every example",
    "pipe.say(done=3)": "its filter did not look at every example",
    "pipe.say(item='x' * 70_000_000)": "is broken or longer than",
    "pipe._outgoing.write(b'[' * 90_000 + b'\\n'); pipe._outgoing.flush()": "is broken or longer than",
    "pipe._outgoing.write(b'\\xff\\n'); pipe._outgoing.flush()": "is broken or longer than",
}


@pytest.mark.parametrize(("forged", "said"), FORGED.items(), ids=range(len(FORGED)))
def test_one_that_speaks_the_protocol_itself_is_not_believed(
    host: Host, filters: Filters, forged: str, said: str
) -> None:
    body = f"import gc\npipe = next(x for x in gc.get_objects() if type(x).__name__ == '_Pipe')\n{forged}\nreturn True"
    enabled(host, body)
    with pytest.raises(RefusedError) as refused:
        filters.through(BOTH)
    assert said in str(refused.value)
    assert host.state("tidy")[0] == "switched off"


def test_two_cannot_have_one_name(host: Host) -> None:
    enabled(host)
    host.put("other", SHORT)
    with pytest.raises(RefusedError, match="its example filter short has a name that the plugin tidy has already"):
        host.enable("other")
    host.put(
        "twice", HEAD.replace("short", 'short", keep)\n    registrar.add("short') + "def keep(example): return True\n"
    )
    with pytest.raises(RefusedError, match="twice was not enabled: it raised ValueError: short is registered twice"):
        host.enable("twice")


# As they are typed


@pytest.fixture
def tidy(tiny: Paths, run: Run) -> Path:
    folder = tiny.plugins / "tidy"
    folder.mkdir(parents=True)
    (folder / "plugin.toml").write_text('name = "tidy"\n', encoding="utf-8")
    (folder / "plugin.py").write_text(
        source("return 'speaks of itself' if 'I am' in example.answers[0] else True"), "utf-8"
    )
    assert "example filter short" in run("plugin", "enable", "tidy", "--yes").out
    return folder


@pytest.mark.usefixtures("tidy")
def test_the_preview_is_what_is_trained_and_kept_in_the_record(run: Run, examples: Path) -> None:
    plan = run("train", examples, "--name", "shop", "--dry-run")
    assert "taught    1 answer in 1 conversation" in plan.err
    assert "left out 1 filtered by tidy/short (speaks of itself): a filter of a plugin" in " ".join(plan.err.split())
    assert "filtered  by the filter tidy/short\n" in plan.err
    shown = run("train", examples, "--name", "shop", "--dry-run", "--json").json
    first = run("train", examples, "--name", "shop", "--yes", "--json").events[0]
    assert first == shown
    assert (first["examples"], first["dropped"]) == (1, {"filtered by tidy/short (speaks of itself)": 1})
    assert (first["filters"], first["filters_off"]) == (["tidy/short"], {})
    assert "1 filtered by tidy/short (speaks of itself)" in run("report", "shop", "--markdown").out
    rebased = run("adapter", "rebase", "shop", "--base", "tiny-llama", "--dry-run")
    assert "by the filter tidy/short" in rebased.err


def test_train_refuses_to_go_on_without_it(run: Run, tiny: Paths, tidy: Path, examples: Path) -> None:
    (tidy / "plugin.py").write_text(source("1/0"), "utf-8")
    for words in (("--dry-run",), ("--yes",), ("--write-job", str(tidy.parent / "job"))):
        done = run("train", examples, "--name", "shop", *words)
        assert (done.code, "does not run (its files are others" in done.sentence) == (4, True)
    run("plugin", "enable", "tidy", "--yes")
    assert "is switched off (it raised ZeroDivisionError" in run("train", examples, "--name", "shop", "--yes").sentence
    assert not tiny.training.exists()
    told = run("train", examples, "--name", "shop", "--dry-run")
    assert "2 answers" in told.err
    assert "not by the filter tidy/short: switched off, as it raised" in told.err


@pytest.mark.usefixtures("tidy")
def test_the_safe_mode_shows_that_it_asks_none(run: Run, examples: Path) -> None:
    plan = run("train", examples, "--name", "shop", "--dry-run", "--safe-mode", "--json").json
    assert (plan["examples"], plan["filters"], plan["filters_off"]) == (2, [], {"tidy/short": "safe mode runs none"})


def test_what_is_replayed_passes_them_too(run: Run, tiny: Paths, examples: Path, tidy: Path, tmp_path: Path) -> None:
    run("plugin", "disable", "tidy")
    assert run("train", examples, "--name", "shop", "--yes").code == 0
    run("plugin", "enable", "tidy", "--yes")
    more = tmp_path / "more.jsonl"
    more.write_text(json.dumps({"prompt": "Who owns it?", "response": "Odile does."}) + "\n", encoding="utf-8")
    plan = run("train", more, "--continue", "shop", "--dry-run", "--json").json
    assert (plan["conversations"], plan["replayed"]) == (2, 1)
    assert plan["dropped"] == {"filtered by tidy/short (speaks of itself)": 1}
