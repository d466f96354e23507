"""What conversations can begin with: kept whole, read under caps, and never a traceback."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_chat.chat.conversation import Conversation, Role, Turn
from lora_chat.chat.preset import (
    LARGEST,
    MOST,
    Preset,
    chosen,
    keep_preset,
    list_presets,
    preset_names,
    read_preset,
    remove_preset,
)
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.paths import Paths
from lora_chat.text import clean

SHOP = Preset(
    "shop",
    "You sell shoes.",
    (("Where are you?", 'At "12 Harbour" Street.\nCome by! \\o/'), ("Open?", "Nine to five. 🙂")),
    "Answers shop questions.",
)

HUGE = "0x" + "F" * 6_000
"""Of more digits than Python writes."""


def written(home: Paths, text: str | bytes, name: str = "shop") -> Path:
    """A file that somebody else wrote."""
    home.presets.mkdir(parents=True, exist_ok=True)
    path = home.presets / f"{name}.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def refused(call: Callable[[], object], kind: type[LoraChatError] = RefusedError) -> str:
    with pytest.raises(LoraChatError) as caught:
        call()
    assert type(caught.value) is kind
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(".")
    assert clean(said) == said
    return said


def test_its_turns_are_questions_and_answers_without_the_system_prompt() -> None:
    assert [turn.role for turn in SHOP.turns] == [Role.USER, Role.ASSISTANT] * 2
    assert SHOP.turns[2:] == (Turn(Role.USER, "Open?"), Turn(Role.ASSISTANT, "Nine to five. 🙂"))
    assert Preset("x", "s").turns == ()


def test_what_is_kept_is_read_back_and_is_the_owners_alone(home: Paths) -> None:
    path = keep_preset(SHOP, home)
    assert path == home.presets / "shop.toml"
    assert read_preset("shop", home) == SHOP
    if os.name == "posix":
        assert (path.stat().st_mode & 0o777, home.presets.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [file.name for file in home.presets.iterdir()] == ["shop.toml"]


def test_the_file_is_plain_toml_of_one_table_an_example(home: Paths) -> None:
    text = keep_preset(SHOP, home).read_text("utf-8")
    assert text.count("[[examples]]\nquestion = ") == 2
    found = tomllib.loads(text)
    assert list(found) == ["schema", "name", "description", "system", "examples"]
    assert found["examples"][1] == {"question": "Open?", "answer": "Nine to five. 🙂"}


TEXTS = st.text(min_size=1, max_size=60).filter(lambda text: clean(text).strip())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(system=TEXTS, examples=st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_every_text_is_read_back_as_it_was_but_for_what_could_harm(
    home: Paths, system: str, examples: list[tuple[str, str]]
) -> None:
    keep_preset(Preset("any", system, tuple(examples)), home, replace=True)
    found = read_preset("any", home)
    assert found.system == clean(system).strip()
    assert found.examples == tuple((clean(q).strip(), clean(a).strip()) for q, a in examples)


def test_a_name_that_is_taken_is_refused_unless_it_is_to_be_replaced(home: Paths) -> None:
    keep_preset(SHOP, home)
    other = replace(SHOP, system="You sell hats.")
    assert "preset remove shop" in refused(lambda: keep_preset(other, home))
    assert read_preset("shop", home) == SHOP
    keep_preset(other, home, replace=True)
    assert read_preset("shop", home) == other


@pytest.mark.parametrize("name", ["", "../x", "Shop", "a/b", "a" * 65, "con", "x\x1b[31m", "."])
def test_what_is_no_name_is_refused_and_nothing_is_written(home: Paths, name: str) -> None:
    assert "cannot be the name of a preset" in refused(lambda: keep_preset(replace(SHOP, name=name), home))
    refused(lambda: read_preset(name, home), NotFoundError)
    refused(lambda: remove_preset(name, home), NotFoundError)
    assert not home.presets.exists()


def test_what_holds_nothing_or_half_an_example_or_too_much_is_refused(home: Paths) -> None:
    assert "neither" in refused(lambda: keep_preset(Preset("x"), home))
    assert "neither" in refused(lambda: keep_preset(Preset("x", "\x1b \u202e"), home))
    half = Preset("x", "", (("q", "a"), ("q", " \x00 ")))
    assert "its example 2 has no answer" in refused(lambda: keep_preset(half, home))
    many = Preset("x", "", (("q", "a"),) * (MOST + 1))
    assert "1,001 examples where at most 1,000" in refused(lambda: keep_preset(many, home))
    large = Preset("x", "s" * LARGEST)
    assert "1,000,051 bytes and a preset has at most 1,000,000" in refused(lambda: keep_preset(large, home))
    assert not home.presets.exists()
    keep_preset(Preset("x", "", many.examples[1:]), home)
    assert len(read_preset("x", home).examples) == MOST


def test_one_that_is_not_there_is_not_found_and_the_nearest_is_named(home: Paths) -> None:
    assert "did you mean" not in refused(lambda: read_preset("shop", home), NotFoundError)
    keep_preset(SHOP, home)
    assert "did you mean shop?" in refused(lambda: read_preset("shpo", home), NotFoundError)
    assert "did you mean shop?" in refused(lambda: remove_preset("shpo", home), NotFoundError)


def test_all_are_listed_by_name_and_a_broken_one_with_its_reason(home: Paths) -> None:
    assert list_presets(home) == ([], [])
    keep_preset(replace(SHOP, name="zebra"), home)
    keep_preset(SHOP, home)
    written(home, f"schema = {HUGE}", "huge")
    broken = written(home, "system = 7", "broken")
    written(home, 'system = "x"', "Not A Name")
    written(home, 'system = "x"', ".hidden")
    (home.presets / "notes.txt").write_text("x")
    found, problems = list_presets(home)
    assert [each.name for each in found] == ["shop", "zebra"]
    assert [problem.path.stem for problem in problems] == ["Not A Name", "broken", "huge"]
    assert problems[1].path == broken
    assert '"system" must be a text, not 7' in problems[1].reason
    assert preset_names(home) == ["Not A Name", "broken", "huge", "shop", "zebra"]


def test_one_that_is_removed_is_gone_also_a_broken_one(home: Paths) -> None:
    keep_preset(SHOP, home)
    written(home, "}{", "broken")
    remove_preset("shop", home)
    remove_preset("broken", home)
    assert list(home.presets.iterdir()) == []


BAD = {
    "}{": "not valid TOML",
    'system = "': "not valid TOML",
    b'system = "\xff"': "not valid TOML",
    "schema = 2": "update lora-chat",
    'schema = "1"': '"schema" must be a whole number, not "1"',
    'system = "s"\nname = "hats"': '"name" is "hats", which must be that of the file',
    "system = []": '"system" must be a text',
    'sytem = "s"': '"sytem" is no key of a preset; did you mean system?',
    'system = "s"\n[other]\nx = 1': '"other" is no key',
    'system = "s"\n"\\u001b[31m" = 1': '"[31m" is no key',
    "examples = 7": '"examples" must be a list, not 7',
    "examples = [7]": "each of its examples must be a table, not 7",
    '[[examples]]\nquestion = "q"': "its example 1 has no answer",
    '[[examples]]\nquestion = "q"\nanswer = 1': '"answer" must be a text',
    '[[examples]]\nquestion = "q"\nanswer = "a"\nrole = "x"': '"role" is no key of an example',
    "": "neither a system prompt nor examples",
    f"schema = {HUGE}": "its schema is 0xffff",
    f"system = {HUGE}": '"system" must be a text, not 0xffff',
    f"examples = [[{HUGE}]]": "each of its examples must be a table, not what is too long to be written",
    'a.b = "x"': "a dotted key",
    "x = " + "[" * 100_000: "not valid TOML",
    "x = " + "9" * 10_000: "not valid TOML",
    "s" * (LARGEST + 1): "1,000,001 bytes where at most 1,000,000",
    '[[examples]]\nquestion = "q"\nanswer = "a"\n' * (MOST + 1): "1,001 examples",
}


@pytest.mark.parametrize(("text", "why"), BAD.items(), ids=range(len(BAD)))
def test_a_file_that_cannot_be_used_is_one_sentence_with_its_name_and_what_is_wrong(
    home: Paths, text: str | bytes, why: str
) -> None:
    path = written(home, text)
    said = refused(lambda: read_preset("shop", home))
    assert why in said
    assert str(path)[-20:] in said


@pytest.mark.parametrize(
    "text",
    [
        "a." * 400_000 + "a = 1",
        "[" + "a." * 400_000 + "a]",
        "x = {" + "a." * 400_000 + "a = 1}",
        'x = {y = """z"""", ' + "a." * 400_000 + "a = 1}",
        "x = {y = '''z'''', " + '"a".' * 200_000 + "a = 1}",
        "[[examples]]\n" * 70_000,
        'x = "' + "\\" * 900_000,
        'x = """' + '""\\' * 300_000,
        "x = '''" + "''a" * 300_000,
        "'" * 900_000,
        "#" * 900_000,
    ],
    ids=range(11),
)
def test_a_bomb_is_refused_before_it_takes_long(home: Paths, text: str) -> None:
    written(home, text)
    began = time.perf_counter()
    refused(lambda: read_preset("shop", home))
    assert time.perf_counter() - began < 5


def test_dots_in_texts_and_comments_and_inline_tables_are_fine(home: Paths) -> None:
    written(
        home,
        '# v1.0 "quoted\nsystem = """He said: ""Stop.""\nA.b.c = 1.5"""  # a.b\n'
        'examples = [{question = \'What is 1.5?\', answer = """"1.5.""""}]\n',
    )
    found = read_preset("shop", home)
    assert found.system == 'He said: ""Stop.""\nA.b.c = 1.5'
    assert found.examples == (("What is 1.5?", '"1.5."'),)
    assert found.name == "shop"


def test_the_documented_file_is_one_and_its_limits_are_the_codes(home: Paths) -> None:
    page = (Path(__file__).parents[2] / "docs" / "window.md").read_text("utf-8").split("## Presets")[1]
    written(home, page.split("```toml\n")[1].split("```")[0])
    found = read_preset("shop", home)
    assert (found.system, found.examples) == ("You sell shoes.", (("Where are you?", "At 12 Harbour Street."),))
    assert f"at most {LARGEST:,} bytes and {MOST:,} examples" in page


def test_foreign_text_is_made_harmless(home: Paths) -> None:
    written(home, 'system = "a\\u001b[31mb\\u202e"\ndescription = "x\\ny\\u0007"\n')
    found = read_preset("shop", home)
    assert (found.system, found.description) == ("a[31mb", "x y")


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
def test_a_link_a_pipe_and_a_folder_are_refused(home: Paths, tmp_path: Path) -> None:
    keep_preset(SHOP, home)
    (home.presets / "link.toml").symlink_to(home.presets / "shop.toml")
    os.mkfifo(home.presets / "pipe.toml")
    (home.presets / "folder.toml").mkdir()
    for name, why in {"link": "a link", "pipe": "not a regular file", "folder": "not a regular file"}.items():
        assert why in refused(lambda name=name: read_preset(name, home))  # type: ignore[misc]
    assert len(list_presets(home)[1]) == 3
    assert "Cannot delete" in refused(lambda: remove_preset("folder", home))


def test_a_place_that_cannot_be_written_is_a_sentence(home: Paths) -> None:
    home.presets.parent.mkdir()
    home.presets.write_text("a file")
    assert "LORA_CHAT_HOME" in refused(lambda: keep_preset(SHOP, home))
    assert list_presets(home) == ([], [])


# What choosing one changes


def conversation(system: str = "", own_system: str | None = None) -> Conversation:
    return Conversation("c", "", 0, 0, system, preset="shop", examples=SHOP.examples, own_system=own_system)


def test_choosing_copies_its_examples_and_its_system_prompt_where_it_has_one() -> None:
    begins = {"preset": "shop", "examples": SHOP.examples, "system": "You sell shoes."}
    assert chosen(SHOP, None) == begins | {"own_system": ""}
    assert chosen(SHOP, conversation("Mine.")) == begins | {"own_system": "Mine."}
    plain = Preset("plain", "", SHOP.examples)
    begins = {"preset": "plain", "examples": SHOP.examples}
    assert chosen(plain, conversation("Mine.")) == begins | {"system": "Mine.", "own_system": None}
    assert chosen(plain, None) == begins | {"system": "", "own_system": None}


def test_taking_it_off_takes_its_own_system_prompt_and_leaves_the_persons() -> None:
    began, nothing = conversation("You sell shoes.", "Mine."), {"preset": "", "examples": ()}
    assert chosen(None, began) == nothing | {"system": "Mine.", "own_system": None}
    assert chosen(None, conversation("You sell shoes.", "")) == nothing | {"system": "", "own_system": None}
    assert chosen(None, conversation("You sell shoes.")) == nothing | {"system": "You sell shoes.", "own_system": None}
    assert chosen(Preset("b", "B."), began) == {
        "preset": "b", "examples": (), "system": "B.", "own_system": "Mine.",
    }  # fmt: skip
    assert chosen(Preset("b", "", (("q", "a"),)), began)["system"] == "Mine."
