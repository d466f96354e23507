"""What ships, through the door that everybody has: enabled like any other, typed like any other."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lora_chat.chat.conversation import Role
from lora_chat.chat.store import Store
from lora_chat.chat.transcript import Problem
from lora_chat.paths import Paths
from lora_chat.plugins.api import json_array
from tests.cli.conftest import Run, run, same_environment  # noqa: F401

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ["chatgpt", "claude", "html", "remote"]
PUBLIC = {"lora_chat.plugins.api", "lora_chat.plugins.engine_api"}


def node(parent: str | None, role: str, *parts: Any, **more: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": list(parts)}
    return {"parent": parent, "message": {"author": {"role": role}, "content": content} | more}


TREE = {
    "title": "A \x1b[2Jshop",
    "current_node": "e",
    "mapping": {
        "root": {"parent": None, "message": None},
        "s": node("root", "system", ""),
        "a": node("s", "user", "Where?", {"content_type": "image_asset_pointer"}),
        "b": node("a", "assistant", "Somewhere."),
        "c": node("a", "assistant", "At 12 Harbour Street."),
        "t": node("c", "tool", "log"),
        "d": node("t", "user", "Thanks"),
        "e": node("d", "assistant", "Welcome."),
        "b2": node("b", "user", "Where is that?"),
    },
}
CLAUDE = {
    "uuid": "1",
    "name": "Greeting",
    "chat_messages": [
        {"sender": "human", "text": "old", "content": [{"type": "text", "text": "Hello"}], "files": [{}]},
        {"sender": "assistant", "text": "Hi.", "content": []},
        {"sender": "assistant", "text": "", "content": [{"type": "tool_use"}]},
    ],
}


@pytest.fixture
def all_on(home: Paths, run: Run) -> Paths:  # noqa: F811
    for name in SHIPPED:
        done = run("plugin", "enable", name, "--yes")
        assert done.code == 0, done.err
    return home


def put(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_what_ships_is_off_until_it_is_enabled(run: Run, home: Paths) -> None:  # noqa: F811
    listed = run("plugin", "list", "--json").json
    assert [(each["name"], each["origin"], each["state"]) for each in listed["plugins"]] == [
        (name, "bundled", "off") for name in SHIPPED
    ]
    assert listed["problems"] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_uses_no_private_door(name: str) -> None:
    sources = [path.read_text("utf-8") for path in (ROOT / "plugins" / name).rglob("*.py")]
    lines = [line.strip() for source in sources for line in source.splitlines()]
    doors = {line.split()[1] for line in lines if line.startswith(("from lora_chat", "import lora_chat"))}
    assert len(doors) == 1
    assert doors <= PUBLIC


def test_chatgpts_branches_come_with_it_and_the_one_that_was_seen_is_open(
    run: Run,  # noqa: F811
    all_on: Paths,
    tmp_path: Path,
) -> None:
    done = run("history", "import", put(tmp_path / "conversations.json", [TREE]), "--json")
    assert done.json["messages"] == 6
    assert done.json["left_out"] == [
        "conversation 1: is taken without what is no text (1 pictures or files, 1 tool messages)"
    ]
    with Store.open(all_on.database) as store:
        [id] = done.json["conversations"]
        said = [message.content for message in store.branch(id)]
        assert store.conversation(id).title == "A [2Jshop"
        assert said == ["Where?", "At 12 Harbour Street.", "Thanks", "Welcome."]
        others = [message.content for message in store.siblings(store.branch(id)[1].id)]
        assert sorted(others) == ["At 12 Harbour Street.", "Somewhere."]
        assert "Where is that?" in [message.content for message in store.messages(id)]


@pytest.mark.parametrize("packed", [False, True])
def test_claudes_conversations_come_as_they_were(
    run: Run,  # noqa: F811
    all_on: Paths,
    tmp_path: Path,
    packed: bool,
) -> None:
    file = put(tmp_path / "conversations.json", [CLAUDE, {"uuid": "2", "chat_messages": []}])
    if packed:
        with zipfile.ZipFile(tmp_path / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(file, "export/conversations.json")
            archive.writestr("users.json", "[]")
        file = tmp_path / "data.zip"
    done = run("history", "import", file, "--json")
    assert done.json["left_out"][1] == "conversation 2: has no messages of text"
    with Store.open(all_on.database) as store:
        [id] = done.json["conversations"]
        assert store.conversation(id).title == "Greeting"
        assert [message.content for message in store.branch(id)] == ["Hello", "Hi."]


def test_of_a_file_that_is_cut_what_is_whole_comes_where_that_is_asked(
    run: Run,  # noqa: F811
    all_on: Paths,
    tmp_path: Path,
) -> None:
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([CLAUDE, CLAUDE, CLAUDE])[:-40], encoding="utf-8")
    refused = run("history", "import", file)
    assert refused.code == 4
    assert "conversation 3: is where the file breaks off" in refused.sentence
    assert not all_on.database.exists()
    assert len(run("history", "import", file, "--leave-out", "--json").json["conversations"]) == 2


HOSTILE: dict[str, Any] = {
    "a cycle": {"mapping": {"a": node("b", "user", "x"), "b": node("a", "user", "y")}, "current_node": "a"},
    "no nodes": {"mapping": {"message": 1, "parent": "x"}},
    "a list": {"mapping": ["message", "parent"]},
    "odd parts": {"mapping": {"a": node(None, "user", 3, None, []), "b": node("gone", "user", "Still here")}},
    "odd messages": {"mapping": {"a": {"parent": 3, "message": [{"author": "me"}]}}},
}


def test_hostile_trees_cost_only_themselves(run: Run, all_on: Paths, tmp_path: Path) -> None:  # noqa: F811
    file = put(tmp_path / "conversations.json", [TREE, *HOSTILE.values(), 3, None, TREE])
    done = run("history", "import", file, "--json")
    assert len(done.json["conversations"]) == 3
    listed = run("plugin", "list", "--json").json["plugins"]
    assert {each["state"] for each in listed} == {"on"}


def test_memory_is_that_of_one_conversation(tmp_path: Path) -> None:
    file = tmp_path / "conversations.json"
    with file.open("w", encoding="utf-8") as out:
        out.write("[")
        for number in range(300):
            out.write(("," if number else "") + json.dumps({"id": number, "text": "é" * 50_000}))
        out.write("]")
    assert file.stat().st_size > 80_000_000
    tracemalloc.start()
    try:
        count = sum(1 for _ in json_array(file))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 300
    assert peak < 16_000_000


@pytest.mark.parametrize("text", ["[1 2]", "[1,]", "[1, {", "[1", "[1, " + "[" * 100_000, "[1, nonsense]"])
def test_an_array_that_breaks_gives_what_was_whole_and_one_problem(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="utf-8")
    found = [element for _, element in json_array(file)]
    assert found[0] == 1
    assert isinstance(found[-1], Problem)
    assert len(found) == 2


HOSTILE_TEXT = (
    "<script>alert(1)</script> ![x](http://x/y.png) [a](javascript:alert(1)) `<b>`\n\n| a | b |\n|---|---|\n| 1 | 2 |"
)


def test_the_page_holds_what_was_said_as_text_alone(run: Run, all_on: Paths, tmp_path: Path) -> None:  # noqa: F811
    with Store.open(all_on.database) as store:
        made = store.create_conversation(system="<b>Be brief</b>", title="<i>Title</i>")
        asked = store.add_message(made.id, Role.USER, HOSTILE_TEXT, parent=None)
        store.add_message(made.id, Role.ASSISTANT, "```py\nx < 1\n```", parent=asked.id, adapter="<u>")
    page = run("history", "export", "--format", "html").out
    for tag in ("<script", "<img", "<b>Be", "<i>Title", "<u>", 'href="javascript'):
        assert tag not in page
    for shown in (
        "&lt;script&gt;",
        "<table>",
        "<td>2</td>",
        "x &lt; 1",
        "&lt;i&gt;Title",
        "prefers-color-scheme: dark",
    ):
        assert shown in page
    assert run("history", "export", "--format", "html", "-o", tmp_path / "x.html").code == 0
    assert (tmp_path / "x.html").read_text("utf-8").startswith("<!DOCTYPE html>")
