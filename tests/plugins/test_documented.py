"""The page on plugins: each hook has an example of about ten lines, and each is what it says when it is run."""

from __future__ import annotations

import re
import threading
from contextlib import closing
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.protocol import Request, TextChunk
from lora_chat.models.installed import InstalledBase
from lora_chat.models.sources import pull
from lora_chat.plugins import limits
from lora_chat.plugins.command_api import CommandCall, Write
from lora_chat.plugins.commands import commands
from lora_chat.plugins.content import HOOKS
from lora_chat.plugins.engines import PluginEngine
from lora_chat.plugins.filters import Filters
from lora_chat.plugins.formats import reader_for, writers
from lora_chat.plugins.model_sources import find_entry
from lora_chat.plugins.registrars import SavedConversation, SavedMessage
from lora_chat.training.lesson import Lesson, Selection
from tests.plugins.conftest import Host

PAGE = (Path(__file__).parent.parent.parent / "docs" / "plugins.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"### lora_chat_(\w+)\n.*?```python\n(.*?)```", PAGE, re.DOTALL))


def test_each_hook_has_an_example_of_about_ten_lines() -> None:
    assert tuple(EXAMPLES) == HOOKS
    assert all(len([line for line in text.splitlines() if line.strip()]) <= 10 for text in EXAMPLES.values())


def test_the_importer_reads(host: Host, tmp_path: Path) -> None:
    host.put("notes", EXAMPLES["importers"], PAGE.partition("```toml\n")[2].partition("```")[0])
    assert host.enable("notes").offers.told == "importer notes"
    (tmp_path / "notes.txt").write_text("Where? => Here.\nWho? => Me.\n", encoding="utf-8")
    (tmp_path / "other.txt").write_text("", encoding="utf-8")
    reader = reader_for(host.plugins, tmp_path / "notes.txt")
    assert reader is not None
    assert reader.told == "my notes, by the plugin notes"
    said = [[turn.content for turn in each.turns] for each in reader(tmp_path / "notes.txt") if hasattr(each, "turns")]
    assert said == [["Where?", "Here."], ["Who?", "Me."]]
    assert reader_for(host.plugins, tmp_path / "other.txt") is None


def test_the_engine_answers(host: Host, tiny_llama: InstalledBase) -> None:
    host.put("parrot", EXAMPLES["engines"])
    assert host.enable("parrot").offers.told == "engine parrot"
    host.paths.config.write_text('engine = "parrot"\n[parrot]\nbefore = "You said: "\n', encoding="utf-8")
    with closing(PluginEngine(host.plugins, host.paths, "parrot", tiny_llama)) as engine:
        chunks = list(engine.generate(Request((Turn(Role.USER, "Where?"),))))
    assert [each.text for each in chunks if isinstance(each, TextChunk)] == ["You said: Where?"]


def test_the_exporter_writes(host: Host) -> None:
    host.put("plain", EXAMPLES["exporters"])
    host.enable("plain")
    [writer] = writers(host.plugins)
    said = (SavedMessage(Role.USER, "Where?"), SavedMessage(Role.ASSISTANT, "Here."))
    assert "".join(writer.write([SavedConversation("1", "t", "", 0.0, said)])) == "user: Where?\nassistant: Here.\n"


def test_the_commands_show_and_write(host: Host) -> None:
    host.put("words", EXAMPLES["commands"])
    assert host.enable("words").offers.told == "command wordcount; command explain"
    wordcount, explain = commands(host.plugins, ())
    said = (SavedMessage(Role.USER, "Where are you?"), SavedMessage(Role.ASSISTANT, "Here."))
    call = CommandCall("gravity", SavedConversation("1", "t", "", 0.0, said), "tiny")
    assert list(wordcount.run(call, threading.Event())) == ["words of the user: 3", "words of the assistant: 1"]
    assert list(explain.run(call, threading.Event())) == [Write("Explain gravity to a child.")]
    assert (explain.offer.arguments, wordcount.told) == ("TEXT", "counts the words said here, by the plugin words")


def test_the_filter_leaves_out(host: Host) -> None:
    host.put("tidy", EXAMPLES["example_filters"])
    assert host.enable("tidy").offers.told == "example filter brief"
    asked = Turn(Role.USER, "Where?")
    lessons = (Lesson((asked, Turn(Role.ASSISTANT, "Here. " * count)), (1,), "line 1") for count in (80, 81))
    left = Filters(host.plugins).through(Selection(tuple(lessons), {}))
    assert [lesson.messages[1].content for lesson in left.lessons] == ["Here. " * 80]
    assert left.dropped == {"filtered by tidy/brief (long-winded)": 1}


def test_the_model_source_brings(host: Host, tiny_llama: InstalledBase) -> None:
    share = tiny_llama.folder.parent
    host.put("nas", EXAMPLES["model_sources"].replace("/mnt/models", str(share)))
    assert host.enable("nas").offers.told == "model source nas"
    said: list[str] = []
    entry = find_entry(host.plugins, f"nas:{tiny_llama.folder.name}", host.paths.config)
    base = pull(entry, host.paths, lambda what, done, total: said.append(what))
    assert base.signature.weights == tiny_llama.signature.weights
    assert "Copying config.json" in said


@pytest.mark.parametrize("name", ["START_S", "SNIFF_S", "STEP_S", "CLOSE_S", "FILTER_S", "FETCH_S", "PLAN_S"])
def test_the_page_has_the_limits(name: str) -> None:
    assert f"{getattr(limits, name):g} s" in PAGE
