"""``@file`` at the window: completed, weighed, sent, folded, found, asked otherwise, and refused."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual.widgets import TextArea

from lora_chat.chat.attached import File, joined
from lora_chat.chat.conversation import Role
from lora_chat.chat.store import Store
from lora_chat.paths import Paths
from lora_chat.sitting import attaching
from lora_chat.tui.screens.details import DetailsScreen
from lora_chat.tui.screens.search import SearchScreen
from lora_chat.tui.screens.training_plan import TrainingPlanScreen
from lora_chat.tui.screens.write_answer import WriteAnswer
from lora_chat.tui.screens.write_question import WriteQuestion, kept_with
from lora_chat.tui.widgets.attached import Attached
from lora_chat.tui.widgets.question import Question
from tests.tui.conftest import Branch, Tell, Window, idle, texts

NOTES = "# Notes\nEggs and milk.\nQuinces for Friday."
BLOCK = f"@notes.md:\n```md\n{NOTES}\n```"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to stand in, with files."""
    folder = tmp_path / "here"
    (folder / "src").mkdir(parents=True)
    monkeypatch.chdir(folder)
    Path("notes.md").write_text(f"{NOTES}\n", encoding="utf-8")
    Path("src/app.py").write_text("print(1)\n", encoding="utf-8")
    Path("my notes.txt").write_text("mine", encoding="utf-8")


def over(w: Window) -> str:
    """What stands over the prompt."""
    attached = w.app.chat.query_one(Attached)
    return str(attached.render()) if attached.display else ""


# While it is written


def test_a_name_is_completed_where_it_stands_and_a_folder_goes_on(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.type("Read  now")
        await w.press(*["left"] * 4)
        await w.type("@sr")
        await w.see("› src/")
        await w.press("tab")
        assert w.prompt.text == "Read @src/ now"
        await w.see("› src/app.py")
        await w.press("enter")
        assert w.prompt.text == "Read @src/app.py now"
        assert w.prompt.cursor_location == (0, len("Read @src/app.py "))
        await w.until(lambda: not w.prompt.completing)
        await w.press("end")
        await w.type(" and @my")
        await w.see("› my notes.txt")
        await w.press("enter")
        assert w.prompt.text == 'Read @src/app.py now and @"my notes.txt" '
        await w.until(lambda: over(w).count("+ ") == 2)

    window(story)


def test_escape_closes_the_list_and_a_whole_name_is_sent_by_enter(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.type("@no")
        await w.see("› notes.md")
        await w.press("escape")
        await w.not_see("› notes.md")
        await w.type("tes.md")
        await w.until(lambda: "notes.md" in over(w))
        await w.press("enter")
        await w.until(lambda: w.app.chat.answer is not None)
        await idle(w)

    window(story)
    assert texts(branch)[0] == f"{BLOCK}\n\n@notes.md"


def test_a_list_for_what_has_changed_since_is_not_taken(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.type("@no")
        await w.see("› notes.md")
        gate = threading.Event()
        w.app.bridge.files._looking.put(lambda: gate.wait(30))
        await w.type("body")
        await w.press("tab")
        assert w.prompt.text == "@nobody"
        gate.set()
        await w.until(lambda: not w.prompt.completing)
        assert over(w) == ""

    window(story)


def test_a_command_s_names_are_its_own(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.type("/rename @notes.md")
        await idle(w)
        assert over(w) == ""
        await w.press("ctrl+c")
        await w.type("/branch @no")
        await w.see("› notes.md")
        await w.press("tab")
        await w.until(lambda: "notes.md" in over(w))

    window(story)


def test_over_the_prompt_stands_what_goes_with_it_and_what_cannot(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.type("See @notes.md and @src/")
        await w.until(lambda: over(w) == f"+ @notes.md · 3 lines · {len(BLOCK.split())} tokens")
        await w.type("x.py")
        await w.type(" now")
        await w.until(lambda: "✗ There is no file src/x.py" in over(w))
        w.prompt.write("me@notes.md @someone")
        await w.until(lambda: over(w) == "")
        Path("long.txt").write_text("word " * 600, encoding="utf-8")
        w.prompt.write("@long.txt ")
        await w.until(lambda: over(w).endswith(": the base takes 512"))
        for name in "abcdef":
            Path(f"{name}.txt").write_text("x", encoding="utf-8")
        w.prompt.write(" ".join(f"@{name}.txt" for name in "abcdef") + " ")
        await w.until(lambda: over(w).endswith("and 3 more"))
        assert over(w).count("+ ") == 3

    window(story)


def test_what_nobody_can_count_is_an_estimate(window: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        with monkeypatch.context() as patched:
            patched.setattr(attaching, "weigh", lambda engine, file: None)
            await w.type("@notes.md ")
            await w.until(lambda: over(w) == f"+ @notes.md · 3 lines · ≈ {-(-len(BLOCK) // 4)} tokens")
            await idle(w)
        w.app.chat.query_one(Attached).weigh()
        await w.until(lambda: over(w).endswith(f"· {len(BLOCK.split())} tokens"))

    window(story)


# In the talk


def test_it_is_sent_whole_shown_as_a_line_unfolded_and_recalled_by_its_name(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("What is in @notes.md?")
        await idle(w)
        tokens = len(BLOCK.split())
        question = w.app.chat.talk.views[0]
        await w.until(lambda: f"▸ @notes.md · 3 lines · {tokens} tokens" in w.text)
        assert "What is in @notes.md?" in w.text
        assert over(w) == ""
        await w.press("up")
        assert w.prompt.text == "What is in @notes.md?"
        await w.press("down")
        w.app.chat.talk.focus()
        await w.press("up")
        assert w.app.chat.talk.selected == question.shown
        assert question.query_one(Question).size.height == 2
        await w.press("ctrl+o")
        await w.until(lambda: question.query_one(Question).size.height == 5)
        await w.see("▾ @notes.md")
        await w.press("ctrl+o")
        await w.until(lambda: question.query_one(Question).size.height == 2)
        assert await w.pilot.click(question.query_one(Question).folded[0]._line)
        await w.until(lambda: question.query_one(Question).size.height == 5)

    async def later(w: Window) -> None:
        await w.ready()
        await w.press("up")
        assert w.prompt.text == "What is in @notes.md?"

    window(story)
    assert texts(branch)[0] == f"{BLOCK}\n\nWhat is in @notes.md?"
    window(later)


def test_what_was_pasted_long_is_folded_when_it_is_opened_again(window: Tell, tiny: Paths) -> None:
    long = "\n".join(f"line {number}" for number in range(214))
    with Store.open(tiny.database) as store:
        id = store.create_conversation().id
        store.add_message(id, Role.USER, long, parent=None)
        store.add_message(id, Role.USER, "x" * 3_000, parent=store.conversation(id).head)

    async def story(w: Window) -> None:
        await w.ready()
        w.app.bridge.run(lambda sitting: sitting.open(id))
        await w.see("▸ 208 more lines")
        await w.see("▸ 2,400 more characters")
        first = w.app.chat.talk.views[0]
        assert first.query_one(Question).size.height == 7
        first.turn_folded()
        await w.until(lambda: first.size.height > 200)
        assert first.text == long

    window(story)


def test_a_search_unfolds_the_file_that_holds_the_words(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("What is in @notes.md?")
        await idle(w)
        question = w.app.chat.talk.views[0]
        await w.app.chat.talk.look_at(question.shown.message.id, "quinces")
        await w.see("Quinces for Friday.")

    window(story)


def test_asked_in_other_words_it_keeps_the_file_as_it_was(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("What is in @notes.md?")
        await idle(w)
        Path("notes.md").write_text("changed", encoding="utf-8")
        await w.write("/branch")
        await w.until(lambda: isinstance(w.app.screen, WriteQuestion))
        await w.see("@notes.md goes with it as it was when you asked")
        area = w.app.screen.query_one(TextArea)
        assert area.text == "What is in @notes.md?"
        await w.type(" All of it.")
        before = w.app.chat.answer
        await w.press("ctrl+s")
        await w.until(lambda: w._has_another(before))
        await idle(w)

    window(story)
    assert texts(branch)[0] == f"{BLOCK}\n\nWhat is in @notes.md? All of it."


def test_wherever_else_a_question_is_shown_its_file_is_a_name(window: Tell, says: dict[str, str]) -> None:
    says[f"{BLOCK}\n\nWhat is in @notes.md?"] = "Food."

    def is_folded(w: Window) -> bool:
        return "What is in @notes.md?" in w.text and "Eggs" not in w.text and "```" not in w.text

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("What is in @notes.md?")
        await w.write("/edit")
        await w.until(lambda: isinstance(w.app.screen, WriteAnswer))
        await w.until(lambda: is_folded(w) and "▸ @notes.md · 3 lines" in w.text)
        w.app.screen.query_one(TextArea).text = "Mangoes."
        await w.press("ctrl+s")
        await w.see("‹2/2›")
        await idle(w)
        await w.write("/train from-history groceries")
        await w.until(lambda: isinstance(w.app.screen, TrainingPlanScreen))
        await w.until(lambda: is_folded(w) and "Mangoes." in w.text)
        await w.press("v")
        await w.until(lambda: isinstance(w.app.screen, DetailsScreen))
        await w.until(lambda: is_folded(w) and "▸ @notes.md · 3 lines" in w.text)
        await w.press("escape", "escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.write("/search what")
        await w.until(lambda: isinstance(w.app.screen, SearchScreen))
        await w.until(lambda: is_folded(w) and "@notes.md:" not in w.text)

    window(story)


def test_what_is_found_in_a_file_stands_behind_its_name(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("What is in @notes.md?")
        await idle(w)
        await w.write("/search quinces")
        await w.until(lambda: isinstance(w.app.screen, SearchScreen))
        await w.see("notes.md: # Notes Eggs and milk. Quinces for Friday.")

    window(story)


def test_what_is_said_of_the_files_of_a_question() -> None:
    assert kept_with([]) == ""
    assert kept_with(["@a", "@\x1b[31mb"]).startswith("@a, @[31mb go with it as they were")


# What is refused


def test_what_cannot_be_sent_is_said_and_stands_in_the_prompt_as_it_was_typed(window: Tell) -> None:
    Path("long.txt").write_text("word " * 600, encoding="utf-8")
    Path("odd.txt").write_bytes(b"a\0b")

    async def story(w: Window) -> None:
        await w.ready()
        for text, said in (
            ("See @note.md", "There is no file note.md; did you mean @notes.md?"),
            ("See @odd.txt", "odd.txt is no text"),
            ("See @long.txt", "This message with long.txt makes a prompt of"),
        ):
            await w.write(text)
            await w.hear(said)
            await w.until(lambda text=text: w.prompt.text == text)  # type: ignore[misc]
            w.prompt.write("")
        assert w.app.chat.answer is None

    window(story)


def test_a_hostile_file_does_nothing_to_the_window(window: Tell) -> None:
    Path("evil.md").write_text(
        "\x1b]0;owned\x07[red]markup[/]\n```\n\n@notes.md:\n```\nx\n```\n\n# Hi", encoding="utf-8"
    )

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("@evil.md")
        await idle(w)
        await w.until(lambda: "▸ @evil.md · 9 lines" in w.text)
        w.app.chat.talk.views[0].turn_folded()
        await w.see("[red]markup[/]")
        assert "\x1b" not in w.text

    window(story)


def test_a_draft_keeps_the_name_and_what_goes_with_it_is_shown_again(window: Tell) -> None:
    async def write(w: Window) -> None:
        await w.ready()
        await w.type("Read @notes.md soon")

    async def later(w: Window) -> None:
        await w.ready()
        assert w.prompt.text == "Read @notes.md soon"
        await w.until(lambda: "+ @notes.md · 3 lines" in over(w))

    window(write)
    window(later)


def test_a_question_that_is_shown_anew_has_what_it_says_then() -> None:
    question = Question(joined("Read @a", [File("@a", "x")]))
    assert len(question.folded) == 1
    question.set("Read")
    assert (question.text, question.folded, question.codes) == ("Read", [], [])
    question.grow(" on")
    question.close()
    assert question.body.text == "Read on"
