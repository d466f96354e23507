"""Presets at a shell and line by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_chat.chat.preset import Preset, keep_preset
from lora_chat.engine.echo import EchoEngine
from lora_chat.engine.protocol import Request
from lora_chat.paths import Paths
from tests.cli.conftest import Kept, Run

EXAMPLES = (("Where?", "At 12 Harbour\nStreet."), ("When?", "From nine to five."))


@pytest.fixture
def shop(tiny: Paths) -> str:
    keep_preset(Preset("shop", "You sell shoes.", EXAMPLES, "A shop."), tiny)
    return "shop"


@pytest.fixture
def asked(says: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the scripted engine was given to read, one list of texts an answer."""
    texts: list[list[str]] = []
    words = EchoEngine._words

    def heard(self: EchoEngine, request: Request, seed: int) -> object:
        texts.append([turn.content for turn in request.messages])
        return words(self, request, seed)

    monkeypatch.setattr(EchoEngine, "_words", heard)
    return texts


SAID = ["Where?", "At 12 Harbour\nStreet.", "When?", "From nine to five."]


def test_list_show_and_remove(run: Run, shop: str, tiny: Paths) -> None:
    (tiny.presets / "bad.toml").write_text("x = 1")
    (tiny.presets / "huge.toml").write_text(f"schema = 0x{'F' * 6_000}")
    listed = run("preset", "list")
    assert "its schema is 0xffff" in listed.err
    (tiny.presets / "huge.toml").unlink()
    assert listed.out.splitlines()[1].split() == ["shop", "2", "yes", "A", "shop."]
    assert "no key of a preset" in listed.err
    found = run("preset", "list", "--json").json
    assert found["presets"] == [
        {
            "name": "shop",
            "description": "A shop.",
            "has_system": True,
            "example_count": 2,
            "path": str(tiny.presets / "shop.toml"),
        }
    ]
    assert found["problems"][0]["path"] == str(tiny.presets / "bad.toml")
    shown = run("preset", "show", "shop").out
    assert all(text in shown for text in ("You sell shoes.", *SAID))
    whole = run("preset", "show", "shop", "--json").json
    assert (whole["system"], whole["examples"][1]) == (
        "You sell shoes.",
        {"question": "When?", "answer": "From nine to five."},
    )
    assert run("preset", "remove", "shop").code == 2, "nobody is there to answer"
    assert run("preset", "remove", "shop", "--yes").code == 0
    assert run("preset", "remove", "bad", "--yes").code == 0
    assert list(tiny.presets.iterdir()) == []


def test_what_is_not_there_or_broken_is_a_sentence_and_an_exit_code(run: Run, shop: str, tiny: Paths) -> None:
    (tiny.presets / "bad.toml").write_text("}{")
    for words, code, said in (
        (("preset", "show", "shpo"), 3, "did you mean shop?"),
        (("preset", "remove", "nobody", "--yes"), 3, "no preset called"),
        (("preset", "show", "bad"), 4, "not valid TOML"),
        (("ask", "x", "--preset", "shpo"), 3, "did you mean shop?"),
        (("ask", "x", "--preset", "bad"), 4, "not valid TOML"),
    ):
        done = run(*words)
        assert (done.code, done.out) == (code, "")
        assert said in done.sentence


def test_paths_says_where_they_are(run: Run, home: Paths) -> None:
    assert run("paths", "--json").json["presets"] == str(home.config.parent / "presets")


def test_an_answer_begins_with_it_and_the_conversation_goes_on_so(
    run: Run, shop: str, asked: list[list[str]], kept: Kept
) -> None:
    run("ask", "Open?", "--preset", "shop", "-t", "0")
    assert asked[-1] == ["You sell shoes.", *SAID, "Open?"]
    (found,) = kept.conversations
    assert (found.preset, found.system, found.examples) == ("shop", "You sell shoes.", EXAMPLES)
    run("preset", "remove", "shop", "--yes")
    run("ask", "And?", "-c", found.id, "-t", "0")
    assert asked[-1] == ["You sell shoes.", *SAID, "Open?", "Open?", "And?"]
    run("ask", "And?", "-c", found.id, "-t", "0", "--no-save")
    assert asked[-1][:6] == ["You sell shoes.", *SAID, "Open?"]
    assert "preset shop, 2 examples" in run("history", "show", found.id).out
    run("ask", "Plain?", "-c", found.id, "-t", "0", "--preset", "")
    assert asked[-1][:1] == ["Open?"], "what the preset brought goes with it, though its file is gone"


def test_the_persons_own_system_prompt_is_kept_while_a_presets_holds(
    run: Run, shop: str, asked: list[list[str]], kept: Kept
) -> None:
    run("ask", "Open?", "-s", "Mine.")
    on = ("-c", kept.conversations[0].id)
    run("ask", "And?", *on, "--preset", "shop")
    run("ask", "And?", *on, "--no-save", "--preset", "")
    assert [each[0] for each in asked[-2:]] == ["You sell shoes.", "Mine."]
    run("ask", "And?", *on, "--preset", "")
    assert asked[-1][0] == "Mine."
    run("ask", "And?", *on, "--preset", "shop", "-s", "New.")
    run("ask", "And?", *on, "--preset", "")
    assert [each[0] for each in asked[-2:]] == ["New.", "New."]


def test_a_list_of_conversations_leaves_their_examples_to_show(run: Run, shop: str, kept: Kept) -> None:
    run("ask", "Open?", "--preset", "shop")
    (listed,) = run("history", "list", "--json").json["conversations"]
    assert listed["preset"] == "shop"
    assert "examples" not in listed
    shown = run("history", "show", listed["id"], "--json").json["conversation"]
    assert shown["examples"] == [list(pair) for pair in EXAMPLES]


def test_a_system_prompt_of_its_own_wins(run: Run, shop: str, asked: list[list[str]], kept: Kept) -> None:
    run("ask", "Open?", "--preset", "shop", "-s", "Be brief.")
    assert asked[-1] == ["Be brief.", *SAID, "Open?"]
    run("ask", "Open?", "--preset", "shop")
    run("ask", "Open?", "--preset", "", "-c", kept.conversations[0].id)
    assert asked[-1][:1] == ["Open?"]


def test_an_adapter_and_a_preset_are_used_together(run: Run, shop: str, worn: str, asked: list[list[str]]) -> None:
    facts = run("ask", "Open?", "--preset", "shop", "-a", "shop", "--json").json
    assert facts["adapter"] == "shop"
    assert asked[-1] == ["You sell shoes.", *SAID, "Open?"]


def test_each_line_of_a_batch_may_have_its_own(
    run: Run, shop: str, tiny: Paths, asked: list[list[str]], tmp_path: Path
) -> None:
    keep_preset(Preset("plain", "", EXAMPLES[:1]), tiny)
    own = [{"role": "system", "content": "Mine."}, {"role": "user", "content": "d"}]
    rows = [
        {"prompt": "a"},
        {"prompt": "b", "preset": "plain"},
        {"prompt": "c", "preset": None},
        {"messages": own},
        {"prompt": "e", "system": "Be brief."},
    ]
    path = tmp_path / "b.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("ask", "--batch", path, "--preset", "shop").code == 0
    assert asked == [
        ["You sell shoes.", *SAID, "a"],
        [*SAID[:2], "b"],
        ["c"],
        ["Mine.", *SAID, "d"],
        ["Be brief.", *SAID, "e"],
    ]
    asked.clear()
    run("ask", "--batch", path, "--preset", "shop", "-s", "Flag.")
    assert [said[0] for said in asked] == ["Flag.", "Flag.", "Flag.", "Mine.", "Be brief."]


@pytest.mark.parametrize(("preset", "code"), [("nobody", 3), (7, 4), ("bad", 4)])
def test_a_line_whose_preset_cannot_be_used_is_named(
    run: Run, tiny: Paths, tmp_path: Path, preset: object, code: int, says: dict[str, str]
) -> None:
    tiny.presets.mkdir()
    (tiny.presets / "bad.toml").write_text("}{")
    path = tmp_path / "b.jsonl"
    path.write_text(json.dumps({"prompt": "a"}) + "\n" + json.dumps({"prompt": "x", "preset": preset}) + "\n")
    done = run("ask", "--batch", path)
    assert (done.code, done.out) == (code, "")
    assert "Line 2" in done.sentence


def test_a_message_without_room_behind_it_names_it(run: Run, tiny: Paths, kept: Kept) -> None:
    keep_preset(Preset("long", "", (("word " * 200, "word " * 200),)), tiny)
    done = run("ask", "Hello", "--preset", "long")
    assert done.code == 4
    assert "The preset long and this message" in done.sentence
    assert "leave the preset off" in done.sentence


def test_line_by_line_it_is_chosen_saved_and_learnt_without(
    run: Run, shop: str, asked: list[list[str]], kept: Kept
) -> None:
    done = run(
        "--plain",
        stdin="/set temperature 0\n/preset use shop\nOpen?\n/rate good\n/preset save mine\n/preset info mine\n"
        "/preset off\nBye\n/train from-history x\n/quit\n",
    )
    assert done.code == 0, done.err
    assert asked[0] == ["You sell shoes.", *SAID, "Open?"]
    assert asked[1] == ["Open?", "Open?", "Bye"]
    assert "mine is kept with a system prompt and 1 example" in done.err
    assert "Open? → Open?" in done.out
    assert "rated good: Open? → Open?" in done.err
    assert "Harbour" not in done.err, "its examples are no lessons"


def test_nothing_that_a_preset_says_reaches_the_terminal_raw(run: Run, tiny: Paths) -> None:
    tiny.presets.mkdir()
    about = 'system = "a\\u001b[2Jb"\ndescription = "\\u009b31m"\n'
    text = f'{about}[[examples]]\nquestion = "\\u202eq"\nanswer = "\\u0007a"\n'
    (tiny.presets / "evil.toml").write_text(text)
    (tiny.presets / "x\x1b[2J.toml").write_text("}{")
    for words in (("list",), ("show", "evil"), ("show", "evil", "--json"), ("show", "x\x1b[2J"), ("list", "--json")):
        done = run("preset", *words)
        assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(done.out + done.err)
