"""``lora-chat`` on a pipe: lines in, answers out, and every command of the chat."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_chat.engine.echo import EchoEngine
from lora_chat.engine.protocol import Chunk, Finished, Request
from lora_chat.errors import EngineError
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.sitting.commands import COMMANDS
from tests.cli.conftest import ASKED, WANTED, Done, Kept, Run, leave_old_things


def lines(*said: str) -> str:
    return "".join(line + "\n" for line in said)


@pytest.fixture
def chat(run: Run, tiny: Paths, says: dict[str, str]) -> Run:
    """A sitting with the scripted engine, which answers with the person's own words."""

    def sit(*said: str | Path, stdin: str | bytes = "") -> Done:
        return run("--plain", stdin=lines(*map(str, said)))

    return sit


@pytest.fixture
def shop(run: Run, worn: str, says: dict[str, str]) -> str:
    """An adapter that was really trained; worn by the scripted engine, its name opens the answers."""
    return worn


@pytest.fixture
def real_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chat's engine in this process: the tiny Llama itself, without the seconds another process takes."""
    monkeypatch.setattr(Services, "engine_beside", Services.engine_here)


def second(home: Paths) -> None:
    """Another adapter beside shop, called pirate."""
    folder = shutil.copytree(home.adapters / "shop", home.adapters / "pirate")
    manifest = folder / "adapter.toml"
    manifest.write_text(manifest.read_text("utf-8").replace('"shop"', '"pirate"', 1), "utf-8")


def test_a_file_that_is_named_goes_with_the_message_and_is_told_once(
    chat: Run, tiny: Paths, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.md").write_text("Eggs\nMilk\n", encoding="utf-8")
    done = chat("What is in @notes.md?", "/retry", "And @note.md?")
    assert kept.branch()[0].content == "@notes.md:\n```md\nEggs\nMilk\n```\n\nWhat is in @notes.md?"
    assert done.err.count("+ @notes.md · 2 lines · 5 tokens") == 1
    assert "There is no file note.md; did you mean @notes.md?" in done.err
    assert done.code == 3
    assert len(kept.branch()) == 2


def test_a_mixture_is_worn_at_once_and_by_the_conversation_from_then_on(
    chat: Run, shop: str, tiny: Paths, kept: Kept
) -> None:
    second(tiny)
    said = ("/set temperature 0", "/adapter mix shop=0.7 pirate=0.3", "Hello", "/adapter scale 0.5", "Hello")
    done = chat(*said, "/adapter info", "/adapter scale much", "/adapter off", "Hello")
    replies = [line for line in done.out.splitlines() if "Hello" in line]
    assert replies == ["(shop 0.7) (pirate 0.3) Hello", "(shop 0.35) (pirate 0.15) Hello", "Hello"]
    assert "Wearing shop=0.7+pirate=0.3 ×0.5" in done.err
    assert "×0.7  shop, rank 8" in done.out
    assert '"much" is not a scale from -16 to 16' in done.err
    answers = kept.branch()[1::2]
    assert [(each.adapter, each.scale) for each in answers] == [
        ("shop=0.7+pirate=0.3", 1.0), ("shop=0.7+pirate=0.3", 0.5), (None, None)
    ]  # fmt: skip
    chat(f"/open {kept.conversations[0].id}", "/set temperature 0", "/adapter mix shop=1 pirate=-1", "Hello")
    again = chat(f"/open {kept.conversations[0].id}", "/set temperature 0", "Hello")
    assert again.out.splitlines()[-1] == "(shop 1) (pirate -1) Hello"


def test_what_is_due_is_deleted_when_a_chat_begins(chat: Run, tiny: Paths) -> None:
    leave_old_things(tiny)
    chat()
    assert sorted(each.name for each in tiny.adapters.iterdir()) == [".incoming-now", ".trash-now"]


def test_what_a_command_on_a_pipe_agrees_to_is_said(
    chat: Run, shop: str, tiny: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tiny.adapters / "shop" / "adapter.toml").unlink()
    config = tiny.adapters / "shop" / "adapter_config.json"
    said = json.loads(config.read_text("utf-8")) | {"base_model_name_or_path": "someone/Else-1B"}
    config.write_text(json.dumps(said), "utf-8")
    done = chat("/adapter use shop")
    assert "shop: It was made for someone/Else-1B; its shapes fit" in done.err
    assert "Wear it all the same? Yes, since nobody is at a terminal to answer.\nWearing shop" in done.err
    (tiny.adapters / "shop" / "adapter.toml").write_text("private = true\n", "utf-8")
    done = chat("/adapter pack shop")
    assert "shop is private" in done.err
    assert "Let it leave? Yes, since nobody is at a terminal to answer." in done.err
    assert (tmp_path / "shop.zip").exists()


def test_one_of_a_mixture_that_is_gone_leaves_the_base(chat: Run, shop: str, tiny: Paths, run: Run) -> None:
    second(tiny)
    with_both = run("ask", "-t", "0", "-a", "shop=0.7+pirate=0.3", "Hello", "--json")
    assert json.loads(with_both.out)["adapter"] == "shop=0.7+pirate=0.3"
    shutil.rmtree(tiny.adapters / "pirate")
    gone = run("ask", "-t", "0", "-a", "shop=0.7+pirate=0.3", "Hello")
    assert gone.code == 3
    assert '"pirate"' in gone.err


def test_each_line_is_a_message_and_answers_go_to_stdout(chat: Run, kept: Kept) -> None:
    done = chat("/set temperature 0", "Hello there", "", "   ", "How are you?")
    assert (done.code, done.out) == (0, "Hello there\nHow are you?\n")
    assert [message.content for message in kept.branch()] == ["Hello there"] * 2 + ["How are you?"] * 2
    assert len(kept.conversations) == 1


def test_a_line_may_end_without_a_line_end_and_hold_anything(run: Run, tiny: Paths, says: dict[str, str]) -> None:
    said = b"/set temperature 0\ncaf\xe9 \x1b[2J\xf0\x9f\x92\xa1"
    done = run("--plain", stdin=said)
    assert (done.code, done.out) == (0, "caf\ufffd [2J\U0001f4a1\n")


def test_nothing_a_model_says_reaches_the_terminal_raw(chat: Run, says: dict[str, str]) -> None:
    says["Hello"] = "a\x1b]0;title\x07b\x9b2J\u202ec"
    done = chat("/set temperature 0", "Hello", "/open")
    assert done.out.splitlines()[0] == "a]0;titleb2Jc"
    assert "\x1b" not in done.out + done.err


def test_two_slashes_begin_a_message_that_begins_with_one(chat: Run) -> None:
    assert chat("/set temperature 0", "//help is a word").out == "/help is a word\n"


def test_help_lists_every_command_from_the_one_table(chat: Run) -> None:
    done = chat("/help")
    listed = [re.split(r" {2,}", line.strip()) for line in done.out.splitlines()]
    assert listed == [[command.usage, command.help] for command in COMMANDS]


def test_what_is_copied_on_a_pipe_is_in_the_file_that_is_named(
    chat: Run, tiny: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_chat.sitting.clipboard.TOOLS", ())
    done = chat("Hello", "/copy", "/copy 2")
    assert f"Copied 5 characters to {tiny.copied}" in done.err
    assert "/copy 1 is the last" in done.err
    assert "\x1b" not in done.out + done.err
    assert tiny.copied.read_text("utf-8") == "Hello"


def test_quit_ends_it_and_what_follows_is_not_read(chat: Run, kept: Kept) -> None:
    done = chat("/quit", "Hello")
    assert (done.code, done.out) == (0, "")
    assert not kept.conversations


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("/hepl", 2, "did you mean /help?"),
        ("/", 2, "see /help"),
        ("/xyzzy", 2, "written with two, //"),
        ("/\x1b[31m", 2, "There is no /[31m"),
        ("/adapter use", 2, "/adapter use NAME"),
        ("/adapter use nobody", 3, "nobody"),
        ("/adapter scale 0.5", 2, "wearing one"),
        ("/adapter info", 2, "wearing one"),
        ("/adapter fly", 2, "/adapter list"),
        ("/train", 2, "/train from-history [NAME]"),
        ("/train from-history two words", 2, "one word"),
        ("/train from-history ../x", 4, "../x"),
        ("/train from-history mine", 4, "nothing to learn in the history"),
        ("/train status", 4, "No training is running"),
        ("/train cancel", 4, "No training is running"),
        ("/train fast", 2, "/train from-history [NAME]"),
        ("/rate good", 4, "no answer yet"),
        ("/rate", 2, "/rate good|bad"),
        ("/rate excellent", 2, "/rate good or /rate bad"),
        ("/edit", 4, "no answer yet"),
        ("/edit text", 4, "no answer yet"),
        ("/retry", 4, "write a message first"),
        ("/compare", 2, "Ask something first, then /compare base @NAME"),
        ("/open zzzz", 3, "zzzz"),
        ("/set colour red", 2, "temperature"),
        ("/set temperature", 2, "write a number"),
        ("/set temperature warm", 2, "write a number"),
        ("/set temperature 99", 4, "between 0 and 5"),
        ("/set temperature nan", 4, "between 0 and 5"),
        ("/set max_tokens 0", 4, "between 1 and"),
        ("/set top_p 2", 4, "between 0 and 1"),
        ("/set seed -1", 4, "between 0 and"),
    ],
)
def test_a_command_that_cannot_be_done_is_a_sentence_and_the_chat_goes_on(
    chat: Run, line: str, code: int, said: str
) -> None:
    done = chat("/set temperature 0", line, "Hello")
    (refusal,) = [each for each in done.err.splitlines() if each.startswith("✗ ")]
    assert said in refusal
    assert done.out == "Hello\n"
    assert done.code == code


def test_the_exit_code_is_the_last_refusals(chat: Run) -> None:
    assert chat("/adapter use nobody", "Hello", "/rate excellent", "Hello").code == 2
    assert chat("/rate excellent", "/adapter use nobody").code == 3


def test_an_adapter_is_put_on_and_taken_off_from_the_next_answer_on(shop: str, chat: Run, kept: Kept) -> None:
    done = chat(
        "/set temperature 0", "Hello", "/adapter use shop", "Hello", "/adapter scale 0.5", "Hello", "/adapter info",
        "/adapter use shop=2", "Hello", "/adapter off", "Hello",
    )  # fmt: skip
    answers = done.out.splitlines()
    assert [line for line in answers if line.endswith("Hello")] == [
        "Hello", "(shop 1) Hello", "(shop 0.5) Hello", "(shop 2) Hello", "Hello"
    ]  # fmt: skip
    assert answers[3].startswith("shop ")
    assert any("rank  " in line and "8 on" in line for line in answers)
    assert "Wearing shop ×0.5 from the next answer on." in done.err
    assert [message.scale for message in kept.branch()[1::2]] == [None, 1.0, 0.5, 2.0, None]
    assert done.code == 0


def test_the_chat_may_begin_wearing_one(run: Run, shop: str) -> None:
    done = run("-a", "shop=0.5", "--plain", stdin=lines("/set temperature 0", "Hello"))
    assert done.out == "(shop 0.5) Hello\n"
    assert run("-a", "nobody", stdin="Hello\n").code == 3


def test_adapter_list_names_what_is_there_and_what_is_broken(shop: str, chat: Run, tiny: Paths) -> None:
    (tiny.adapters / "broken").mkdir()
    done = chat("/adapter", "/adapter list")
    assert [line.split()[0] for line in done.out.splitlines()] == ["NAME", "shop"] * 2
    assert done.err.count("broken") >= 2


def test_an_adapter_removed_while_worn_leaves_the_chat_on_the_base(
    run: Run, shop: str, tiny: Paths, says: dict[str, str], monkeypatch: pytest.MonkeyPatch, kept: Kept
) -> None:
    import shutil

    from lora_chat.cli.line import LineFace

    take = LineFace.take

    def remove_at(self: LineFace, line: str) -> None:
        if line == "Still there?":
            shutil.rmtree(tiny.adapters / "shop")
        take(self, line)

    monkeypatch.setattr(LineFace, "take", remove_at)
    done = run("-a", "shop", stdin=lines("/set temperature 0", "Hello", "Still there?"))
    assert done.out == "(shop 1) Hello\nStill there?\n"
    assert "shop is no longer installed: the base answers." in done.err
    assert done.code == 0
    assert kept.branch()[-1].adapter is None


def test_a_conversation_whose_adapter_is_gone_can_be_opened(run: Run, shop: str, kept: Kept) -> None:
    run("-a", "shop", stdin="Hello\n")
    run("adapter", "remove", "shop", "--yes")
    done = run("--plain", stdin=lines(f"/open {kept.conversations[0].id}", "/set temperature 0", "And now?"))
    assert done.code == 0
    assert "The base answers." in done.err
    assert done.out.splitlines()[-1] == "And now?"
    assert len(kept.branch()) == 4


def test_rate_judges_the_last_answer(chat: Run, kept: Kept) -> None:
    assert chat("Hello", "And?", "/rate good", "/rate bad").code == 0
    assert [message.rating for message in kept.branch()] == [None, None, None, "bad"]


def test_edit_puts_the_wanted_answer_in_its_place_and_the_chat_goes_on_from_it(chat: Run, kept: Kept) -> None:
    assert chat(ASKED, f"/edit {WANTED}", "Thank you").code == 0
    said = kept.branch()
    assert [message.content for message in said[:3]] == [ASKED, WANTED, "Thank you"]
    assert said[1].edited_from is not None
    assert said[2].parent == said[1].id


def test_retry_answers_again_and_keeps_the_old_answer(chat: Run, run: Run, kept: Kept) -> None:
    done = chat("/set temperature 0", "Hello", "/retry")
    assert done.out == "Hello\nHello\n"
    shown = run("history", "show", kept.conversations[0].id, "--json").json
    assert [len(message["siblings"]) for message in shown["messages"]] == [1, 2]


def test_an_answer_that_was_cut_off_goes_on_and_its_figures_add_up(chat: Run, kept: Kept) -> None:
    done = chat("/set temperature 0", "/set max_tokens 2", "one two three four five", "/continue", "/continue")
    assert done.out.splitlines() == ["one two", " three four", " five"]
    feet = re.findall(r"cut off at \d+ tokens: /continue goes on|\d+ tokens$", done.err, re.MULTILINE)
    assert feet == [f"cut off at {count} tokens: /continue goes on" for count in (2, 4)] + ["5 tokens"]
    answer = kept.branch()[1]
    assert (answer.content, answer.generated_tokens) == ("one two three four five", 5)
    assert chat(f"/open {kept.conversations[0].id}", "/continue").err.endswith(
        "Nothing was added: the answer ends there.\n"
    )


def test_columns_are_printed_under_their_names_and_nothing_of_them_is_kept(chat: Run, kept: Kept) -> None:
    done = chat("/set temperature 0", "Hello", "/compare base temperatures", "Bye")
    degrees = ("greedy", "temperature 0.1", "temperature 0.7", "temperature 1.0")
    printed = [line for degree in degrees for line in (f"▎tiny-llama, {degree}", "Hello")]
    assert (done.code, done.out.splitlines()) == (0, ["Hello", *printed, "Bye"])
    assert "Nothing of this is kept: wear the better one with /adapter use NAME, then /retry" in done.err
    assert [message.content for message in kept.branch()] == ["Hello", "Hello", "Bye", "Bye"]


def test_a_column_that_fails_is_a_sentence_and_the_others_are_printed(
    run: Run, tiny: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(EchoEngine):
        def generate(self, request: Request, cancel: threading.Event | None = None) -> Iterator[Chunk]:
            for chunk in super().generate(request, cancel):
                if request.sampling.temperature == 0.1 and isinstance(chunk, Finished):
                    raise EngineError("It broke.")
                yield chunk

        def _words(self, request: Request, seed: int) -> list[str]:
            return ["a\x1b[2Jb"]

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Failing(base))
    done = run("--plain", stdin=lines("/set temperature 0", "Hello", "/compare base temperatures"))
    assert done.out.count("a[2Jb\n") == 5
    assert "✗ It broke.\n" in done.err
    assert done.code == EngineError.exit_code
    assert "\x1b" not in done.out + done.err


def test_new_open_and_system(chat: Run, kept: Kept) -> None:
    done = chat("/system You sell shoes.", "First", "/new", "Second", "/open")
    assert done.code == 0
    newest, first = kept.conversations
    assert (newest.title, newest.system) == ("Second", "")
    assert (first.title, first.system) == ("First", "You sell shoes.")
    table = done.out.splitlines()[-3:]
    assert [line.split()[-1] for line in table] == ["TITLE", "Second", "First"]
    again = chat(f"/open {first.id[:5]}", "/set temperature 0", "Third", "/system none", "/system")
    assert again.out.splitlines()[:4] == ["user: First", "assistant: First", "Third", "System prompt"]
    assert "the chat template's own holds" in again.out
    assert [message.content for message in kept.branch(first.id)] == ["First", "First", "Third", "Third"]
    assert kept.conversations[0].system == ""


def test_set_is_kept_with_the_conversation(chat: Run, kept: Kept) -> None:
    chat("/set temperature 0", "/set top_k 3", "/set seed 5", "/set max_tokens 2", "one two three four")
    sampling = json.loads(kept.branch()[-1].sampling or "{}")
    assert (sampling["temperature"], sampling["top_k"], sampling["seed"], sampling["max_tokens"]) == (0.0, 3, 5, 2)
    assert kept.branch()[-1].content == "one two"
    again = chat("one two three", "/set", f"/open {kept.conversations[0].id}", "one two three", "/set")
    assert kept.branch()[-1].content == "one two"
    assert "temperature         0.2 (the settings)" in again.out
    assert "temperature         0 (this conversation; elsewhere 0.2)" in again.out


# Training beside the chat


def test_what_was_corrected_here_is_learnt_here_and_worn_here(
    run: Run, tiny: Paths, kept: Kept, real_engine: None
) -> None:
    done = run(stdin=lines(ASKED, f"/edit {WANTED}", "/train from-history shop"))
    assert done.code == 0
    assert "Train shop on tiny-llama" in done.err
    assert "Wear it: /adapter use shop" in done.err
    assert (tiny.adapters / "shop").is_dir()
    assert run(stdin=lines("/adapter use shop", "Hello")).code == 0
    assert kept.branch()[-1].adapter == "shop"
    taken = run(stdin=lines("/train from-history shop"))
    assert taken.code == 4
    assert 'already an adapter "shop"' in taken.err


@pytest.fixture
def slow_training(tiny: Paths, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The scripted training goes on until the event is set."""
    from lora_chat.engine.echo import EchoEngine

    go_on = threading.Event()

    class Slow(EchoEngine):
        def _train(self, job, folder, *ends):  # type: ignore[no-untyped-def]
            while not go_on.wait(0.01) and not any(each.is_set() for each in ends):
                pass
            yield from super()._train(job, folder, *ends)

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Slow(base))
    return go_on


def test_a_training_can_be_watched_and_cancelled(run: Run, tiny: Paths, slow_training: threading.Event) -> None:
    done = run(
        stdin=lines(
            "/set temperature 0", ASKED, f"/edit {WANTED}", "/train from-history shop", "/train status", "Hello",
            "/train from-history other", "/train status", "/train from-history shop", "/train from-history other",
            "/train cancel other", "/train cancel", "/train status",
        )
    )  # fmt: skip
    assert "Hello" in done.out.splitlines()
    assert "shop is starting." in done.out
    assert "other waits for its turn" in done.err
    assert "Waiting for shop: other." in done.err
    assert 'A training of "shop" is not over' in done.err
    assert 'A training of "other" is not over' in done.err
    assert "other no longer waits" in done.err
    assert done.out.splitlines()[-1].startswith("The training of shop was stopped after 0 steps")
    assert not list(tiny.training.iterdir()), "what they would have learnt is deleted"
    assert not tiny.adapters.exists()


def test_a_training_that_fails_is_told_and_is_the_exit_code(
    run: Run, tiny: Paths, says: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_chat.engine.echo import EchoEngine

    def fail(self: EchoEngine, job: Path, cancel: threading.Event, **pause: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EchoEngine, "train", fail)
    done = run(stdin=lines(ASKED, f"/edit {WANTED}", "/train from-history shop"))
    assert done.code == 6
    assert "✗ The training of shop failed: OSError" in done.err
    assert "No space left" in done.err


def test_messages_are_answered_while_the_real_engine_trains_and_the_end_waits_for_it(
    run: Run, tiny: Paths, kept: Kept
) -> None:
    """The engine in a process of its own, the tiny Llama, a real training."""
    said = ["Hello", "Who are you?", "Where is your shop?"]
    done = run(
        stdin=lines("/set max_tokens 4", ASKED, f"/edit {WANTED}", "/train from-history shop", *said, "/adapter list")
    )
    assert done.code == 0
    assert [message.content for message in kept.branch()[2::2]] == said
    assert all(message.generated_tokens for message in kept.branch()[3::2])
    assert "shop is trained and installed" in done.err
    assert (tiny.adapters / "shop").is_dir()


def test_an_engine_that_was_killed_is_a_sentence_and_the_next_message_starts_another(
    run: Run, tiny: Paths, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import signal

    from lora_chat.cli.line import LineFace
    from lora_chat.engine.process import ProcessEngine

    take = LineFace.take

    def kill_at(self: LineFace, line: str) -> None:
        engine = self.sitting.engine
        assert isinstance(engine, ProcessEngine)
        if line == "Second":
            assert engine.pid
            os.kill(engine.pid, signal.SIGSTOP)
            threading.Timer(0.5, os.kill, (engine.pid, signal.SIGKILL)).start()
        take(self, line)

    monkeypatch.setattr(LineFace, "take", kill_at)
    done = run(stdin=lines("/set max_tokens 3", "First", "Second", "Third"))
    assert "SIGKILL" in done.err
    assert [message.status for message in kept.branch()[1::2]] == ["done", "failed", "done"]
    assert done.code == 5
