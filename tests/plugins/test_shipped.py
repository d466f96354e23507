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
    content = {"content_type": "multimodal_text", "parts": list(parts)}
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
        "conversation 1: is taken without what is no text (1 picture, 1 message of a tool)"
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
    assert done.json["left_out"][1] == "conversation 2: is empty"
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


HOSTILE: list[tuple[Any, str]] = [
    (
        {"mapping": {"a": node("b", "user", "x"), "b": node("a", "user", "y")}, "current_node": "a"},
        "has 2 messages that follow each other in a circle",
    ),
    ({"mapping": {"message": 1, "parent": "x"}}, "has 2 messages that cannot be read"),
    ({"mapping": ["message", "parent"]}, 'has no "mapping" of its messages'),
    ({"title": "x"}, 'has no "mapping" of its messages'),
    ({"mapping": {"a": node(None, "user", 3, None, [])}}, "has 2 parts of messages that cannot be read"),
    ({"mapping": {"a": {"parent": 3, "message": [{"author": "me"}]}}}, "has 1 message that cannot be read"),
    ({"mapping": {"a": {"message": {"author": {"role": "user"}, "content": {"content_type": "text"}}}}},
     "has 1 message that cannot be read"),
    (3, "is not a JSON object"),
    (None, "is not a JSON object"),
]  # fmt: skip
"""What is damaged, and what is said of it."""


@pytest.mark.parametrize(("what", "why"), HOSTILE)
def test_a_damaged_tree_refuses_the_file_and_costs_only_itself_where_that_is_asked(
    run: Run,  # noqa: F811
    all_on: Paths,
    tmp_path: Path,
    what: Any,
    why: str,
) -> None:
    file = put(tmp_path / "conversations.json", [TREE, what, TREE])
    refused = run("history", "import", file)
    assert refused.code == 4
    assert refused.sentence.endswith(
        f"nothing was changed. conversation 2: {why}. Correct it, or repeat with --leave-out to import the rest."
    )
    assert not all_on.database.exists()
    done = run("history", "import", file, "--leave-out", "--json")
    assert len(done.json["conversations"]) == 2
    assert f"conversation 2: {why}" in done.json["left_out"]
    listed = run("plugin", "list", "--json").json["plugins"]
    assert {each["state"] for each in listed} == {"on"}


def claudes(*messages: Any) -> dict[str, Any]:
    return {"uuid": "1", "name": "x", "chat_messages": list(messages)}


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (3, "is not a JSON object"),
        ({"uuid": "1"}, 'has no list of "chat_messages"'),
        ({"uuid": "1", "chat_messages": {}}, 'has no list of "chat_messages"'),
        (claudes(3), "has 1 message that cannot be read"),
        (claudes({"text": "x"}, {"sender": "human"}), "has 2 messages that cannot be read"),
        (claudes({"sender": "human", "content": ["x"]}), "has 1 part of a message that cannot be read"),
        (claudes({"sender": "human", "text": 3, "content": []}), "has 1 message that cannot be read"),
    ],
)
def test_a_damaged_conversation_of_claudes_refuses_the_file(
    run: Run,  # noqa: F811
    all_on: Paths,
    tmp_path: Path,
    what: Any,
    why: str,
) -> None:
    file = put(tmp_path / "conversations.json", [CLAUDE, what])
    refused = run("history", "import", file)
    assert refused.code == 4
    assert f"nothing was changed. conversation 2: {why}. Correct it" in refused.sentence
    done = run("history", "import", file, "--leave-out", "--json")
    assert len(done.json["conversations"]) == 1
    assert done.json["left_out"][-1] == f"conversation 2: {why}"


def test_a_damaged_message_alone_is_left_out_where_that_is_asked(
    run: Run,  # noqa: F811
    all_on: Paths,
    tmp_path: Path,
) -> None:
    damaged = {"mapping": {"a": 5, "b": node("gone", "user", "Still here"), "c": node("b", "assistant", "Yes.")}}
    file = put(tmp_path / "conversations.json", [TREE, damaged])
    assert "conversation 2: has 1 message that cannot be read" in run("history", "import", file).sentence
    done = run("history", "import", file, "--leave-out", "--json").json
    assert (len(done["conversations"]), done["messages"]) == (2, 8)
    assert done["left_out"][1:] == [
        "conversation 2: has 1 message that cannot be read",
        "conversation 2: has 1 message that follows none that is there, taken as its beginning",
    ]


def test_what_is_no_text_is_counted_by_its_kind(run: Run, all_on: Paths, tmp_path: Path) -> None:  # noqa: F811
    picture, sound = {"content_type": "image_asset_pointer"}, {"content_type": "audio_asset_pointer"}
    thought = {"content_type": "thoughts", "thoughts": []}
    quote = {"content_type": "tether_quote", "text": "said"}
    tree = {
        "mapping": {
            "a": node(None, "user", "Look", picture, picture, sound),
            "b": node("a", "assistant", "", recipient="browser"),
            "c": node("b", "assistant", content=thought),
            "d": node("c", "assistant", content=quote),
            "e": node("d", "critic", "Bad"),
            "f": node("e", "system", "Be brief"),
            "g": node("f", "assistant", "", content={"content_type": "new"}),
        }
    }
    only = {"mapping": {"a": node(None, "user", picture)}}
    file = put(tmp_path / "conversations.json", [tree, only, {"mapping": {"root": {"parent": None, "message": None}}}])
    assert run("history", "import", file, "--json").json["left_out"] == [
        "conversation 1: is taken without what is no text (2 pictures, 1 recording, 1 call of a tool, 1 thought, "
        "1 page of the web, 1 message of somebody else, 1 system message, 1 message of an unknown kind)",
        "conversation 2: has no message of text (1 picture)",
        "conversation 3: is empty",
    ]
    blocks = [{"type": "text", "text": "Hi"}, {"type": "tool_use"}, {"type": "tool_use"}, {"type": "thinking"},
              {"type": "image"}, {"type": "new"}]  # fmt: skip
    said = claudes({"sender": "human", "content": blocks, "attachments": [{}, {}]}, {"sender": "robot", "text": "x"})
    claude = put(tmp_path / "claude.json", [said, claudes({"sender": "human", "text": "", "files": [{}]})])
    assert run("history", "import", claude, "--json").json["left_out"] == [
        "conversation 1: is taken without what is no text (2 files, 2 calls of tools, 1 thought, 1 picture, "
        "1 part of an unknown kind, 1 message of somebody else)",
        "conversation 2: has no message of text (1 file)",
    ]


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


CUT, NONE = "is where the file breaks off; what is before it is whole", "is no JSON, and what follows it is not read"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1", CUT),
        ("[1,", CUT),
        ("[1, {", CUT),
        ('[1, "half', CUT),
        ('[1, "half\\u12', CUT),
        ("[1, tru", CUT),
        ('[1, {"a": 1.', CUT),
        ("[1 2]", NONE),
        ("[1,]", NONE),
        ("[1, nonsense]", NONE),
        ('[1, {"a" 3}, 4]', NONE),
        ("[1, " + "[" * 100_000, "is nested too deep, and what follows it is not read"),
    ],
)
def test_an_array_that_breaks_gives_what_was_whole_and_one_problem(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="utf-8")
    found = [element for _, element in json_array(file)]
    assert found == [1, Problem("conversation 2", why)]


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
