"""Conversations as files, out and in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_chat.chat import transcript
from lora_chat.chat.conversation import Role, Status, Turn
from lora_chat.chat.store import Store
from lora_chat.chat.transcript import Format, export_conversations, import_file, look_into
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.text import clean
from tests.chat.conftest import contents, talk

GOOD = '{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}'

File = Callable[[str | bytes], Path]


@pytest.fixture
def file(tmp_path: Path) -> File:
    def write(data: str | bytes) -> Path:
        path = tmp_path / "in.jsonl"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write


def exported(store: Store, format: Format, *ids: str) -> list[Any]:
    return [json.loads(line) for line in "".join(export_conversations(store, ids or None, format)).splitlines()]


def test_jsonl_is_openai_messages_of_the_visible_branch_system_first(store: Store) -> None:
    made = store.create_conversation(system="Be brief.")
    question = store.add_message(made.id, Role.USER, "q", parent=None)
    old = store.add_message(made.id, Role.ASSISTANT, "old", parent=question.id)
    store.edit_answer(old.id, "new")
    turns = [("system", "Be brief."), ("user", "q"), ("assistant", "new")]
    assert exported(store, Format.JSONL, made.id[:5]) == [
        {"messages": [{"role": role, "content": content} for role, content in turns]}
    ]


def test_sharegpt_uses_its_own_names(store: Store) -> None:
    made = store.create_conversation(system="s")
    store.add_message(made.id, Role.ASSISTANT, "a", parent=store.add_message(made.id, Role.USER, "q", parent=None).id)
    turns = [("system", "s"), ("human", "q"), ("gpt", "a")]
    assert exported(store, Format.SHAREGPT) == [
        {"id": made.id, "conversations": [{"from": name, "value": value} for name, value in turns]}
    ]


def test_markdown_reads_well_and_says_how_an_answer_ended(store: Store) -> None:
    made = store.create_conversation(system="Be\nbrief.", title="On # tea")
    question = store.add_message(made.id, Role.USER, "Which?", parent=None)
    store.add_message(made.id, Role.ASSISTANT, "Gre", parent=question.id, status=Status.STOPPED, adapter="tea")
    assert "".join(export_conversations(store, None, Format.MARKDOWN)) == (
        "# On # tea\n\n> Be\n> brief.\n\n## User\n\nWhich?\n\n## Assistant (tea, stopped)\n\nGre\n\n"
    )


def test_all_conversations_go_out_oldest_first_and_empty_ones_stay(store: Store) -> None:
    talk(store, "one")
    store.create_conversation()
    (question,) = talk(store, "two")
    store.add_message(question.conversation, Role.ASSISTANT, "", parent=question.id, status=Status.FAILED)
    assert [[m["content"] for m in line["messages"]] for line in exported(store, Format.JSONL)] == [["one"], ["two"]]


def test_an_unknown_id_stops_an_export_before_its_first_line(store: Store) -> None:
    (known,) = talk(store, "x")
    with pytest.raises(NotFoundError):
        next(export_conversations(store, [known.conversation, "zzz"], Format.JSONL))


def test_both_formats_are_imported_with_their_system_prompts(store: Store, file: File) -> None:
    lines = [
        '{"messages": [{"role": "developer", "content": "s1"}, {"role": "user", "content": "Hello"}]}',
        "",
        '{"system": "s2", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}',
        '{"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]}]}',
    ]
    imported = import_file(store, file("\ufeff" + "\r\n".join(lines)))
    assert imported.messages == 4
    assert [store.conversation(id).system for id in imported.conversations] == ["s1", "s2", ""]
    assert [contents(store.branch(id)) for id in imported.conversations] == [["Hello"], ["a", "b"], ["x\ny"]]
    assert store.conversation(imported.conversations[0]).title == "Hello"


def test_a_json_array_is_imported_too(store: Store, file: File) -> None:
    imported = import_file(store, file(f" \n[{GOOD},\n{GOOD}]"))
    assert (len(imported.conversations), imported.messages) == (2, 4)


def test_one_bad_line_in_10000_is_named_and_nothing_is_imported(store: Store, file: File) -> None:
    lines = [GOOD] * 10_000
    lines[7_000] = '{"messages": [{"role": "user", "content": "Hel'
    with pytest.raises(RefusedError, match=r"nothing was changed\. line 7,001: is not JSON\. Correct it, or"):
        import_file(store, file("\n".join(lines)))
    assert store.conversations() == []


def test_many_bad_lines_are_counted_and_the_first_named(store: Store, file: File) -> None:
    with pytest.raises(
        RefusedError, match=r"line 2: .*; line 3: .*; line 4: .* \(and 6 more\)\. Correct it, or repeat with --leave"
    ):
        import_file(store, file(GOOD + "\n1" * 9))


def test_a_store_that_fails_half_way_through_an_import_keeps_nothing(
    store: Store, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, calls = store.add_message, [0]

    def fail_late(*arguments: Any, **fields: Any) -> Any:
        calls[0] += 1
        if calls[0] == 5:
            raise MemoryError
        return add(*arguments, **fields)

    monkeypatch.setattr(store, "add_message", fail_late)
    with pytest.raises(MemoryError):
        import_file(store, file(f"{GOOD}\n" * 4))
    assert store.conversations() == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "is not JSON"),
        ("[" * 50_000, "is not JSON"),
        ('{"a": ' * 50_000, "is not JSON"),
        (b"\xff\xfe{\x00}\x00", "is not UTF-8"),
        ('"text"', "is not a JSON object"),
        ("null", "is not a JSON object"),
        ("{}", 'neither "messages" nor "conversations"'),
        ('{"prompt": "a", "response": "b"}', 'neither "messages" nor "conversations"'),
        ('{"messages": []}', "has no messages"),
        ('{"messages": [{"role": "system", "content": "s"}]}', "has no messages"),
        ('{"messages": {"role": "user"}}', "not a list"),
        ('{"messages": ["hello"]}', "message 1 is not an object"),
        ('{"messages": [{"content": "x"}]}', 'unknown role "None"'),
        ('{"messages": [{"role": "tool", "content": "x"}]}', 'unknown role "tool"'),
        ('{"messages": [{"role": ["user"], "content": "x"}]}', "unknown role"),
        ('{"messages": [{"role": "a\\u001b[31mb", "content": "x"}]}', r'unknown role "a\[31mb"'),
        ('{"conversations": [{"from": "bing", "value": "x"}]}', 'unknown from "bing"'),
        ('{"messages": [{"role": "user"}]}', 'has a "content" that is not text'),
        ('{"messages": [{"role": "user", "content": null}]}', "not text"),
        ('{"messages": [{"role": "user", "content": 5}]}', "not text"),
        ('{"messages": [{"role": "user", "content": []}]}', "not text"),
        ('{"messages": [{"role": "user", "content": {"text": "x"}}]}', "not text"),
        ('{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}', "not text"),
        ('{"messages": [{"role": "user", "content": [{"type": "text", "text": ["x"]}]}]}', "not text"),
        ('{"messages": [{"role": "user", "content": " \\u0000 "}]}', "message 1 is empty"),
        ('{"messages": [{"role": "user", "content": "' + "x" * 1_000_000 + '"}]}', "longer than 1,000,000 bytes"),
    ],
)
def test_a_line_that_is_no_conversation_is_refused_with_the_reason(
    store: Store, file: File, line: str | bytes, reason: str
) -> None:
    data = line.encode() if isinstance(line, str) else line
    with pytest.raises(RefusedError, match=f"line 2: .*{reason}"):
        import_file(store, file(GOOD.encode() + b"\n" + data + b"\n" + GOOD.encode()))
    assert store.conversations() == []


@pytest.mark.parametrize("data", ["", "\n\n", "[]"])
def test_a_file_without_conversations_is_refused(store: Store, file: File, data: str) -> None:
    with pytest.raises(RefusedError, match="holds no conversations"):
        import_file(store, file(data))


def test_a_file_that_is_none_or_too_big_is_refused(
    store: Store, file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in [tmp_path / "missing.jsonl", tmp_path]:
        with pytest.raises(RefusedError, match="is not a file"):
            import_file(store, path)
    monkeypatch.setattr(transcript, "LARGEST_FILE", 100)
    with pytest.raises(RefusedError, match="at most 100 are read: split it"):
        import_file(store, file(f"{GOOD}\n" * 2))
    monkeypatch.setattr(transcript, "LARGEST_ARRAY", 100)
    with pytest.raises(RefusedError, match="at most 100 are read: split it"):
        import_file(store, file(f"[{GOOD}, {GOOD}]"))


awkward = st.sampled_from(
    ["# A", "## User", "## Assistant (a)", "\\## User", "\\# A", "> q", "", "<!-- never trained on -->"]
)
texts = st.text(st.characters(), max_size=60) | st.lists(awkward, max_size=5).map("\n".join)
turns = st.lists(st.tuples(st.sampled_from([Role.USER, Role.ASSISTANT]), texts), min_size=1, max_size=4)


@pytest.mark.parametrize("format", list(Format))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(system=texts, turns=turns)
def test_what_goes_out_comes_back_the_same(
    store: Store, tmp_path: Path, format: Format, system: str, turns: list[tuple[Role, str]]
) -> None:
    made = store.create_conversation(system=system)
    parent = None
    for role, text in turns:
        parent = store.add_message(made.id, role, text, parent=parent).id
    expected = [Turn(role, clean(text)) for role, text in turns if clean(text).strip()]
    data = "".join(export_conversations(store, [made.id], format))
    if not expected:
        assert data == ""
        return
    (tmp_path / "out").write_text(data, encoding="utf-8", newline="")
    (id,) = import_file(store, tmp_path / "out").conversations
    assert [message.turn for message in store.branch(id)] == expected
    assert store.conversation(id).system == (clean(system) if clean(system).strip() else "")


@pytest.mark.parametrize("format", [Format.JSONL, Format.SHAREGPT])
def test_what_is_never_trained_on_stays_so_in_a_file_and_back(store: Store, file: File, format: Format) -> None:
    kept_out = talk(store, "mine alone", "yes")[0].conversation
    talk(store, "anybody's", "yes")
    store.update_conversation(kept_out, never_train=True)
    lines = exported(store, format)
    assert [line.get("never_train") for line in lines] == [True, None]
    imported = import_file(store, file("".join(json.dumps(line) + "\n" for line in lines)))
    assert [store.conversation(id).never_train for id in imported.conversations] == [True, False]


@pytest.mark.parametrize("mark", ["false", '"true"', "1", "null"])
def test_only_the_word_itself_keeps_an_imported_conversation_out(store: Store, file: File, mark: str) -> None:
    [id] = import_file(store, file(GOOD.removesuffix("}") + f', "never_train": {mark}}}')).conversations
    assert store.conversation(id).never_train is False


def test_markdown_comes_back_with_titles_and_with_what_is_never_trained_on(store: Store, file: File) -> None:
    first = talk(store, "Which tea?", "# Green\n\nas in\n\n## User")[0].conversation
    store.update_conversation(first, title="On # tea", system="Be\n\nbrief.", never_train=True)
    second = talk(store, "", "Untitled, and\n# the end")[0].conversation
    data = "".join(export_conversations(store, None, Format.MARKDOWN))
    assert data == (
        "# On # tea\n\n<!-- never trained on -->\n\n> Be\n> \n> brief.\n\n## User\n\nWhich tea?\n\n"
        "## Assistant\n\n# Green\n\nas in\n\n\\## User\n\n"
        f"# {second}\n\n## Assistant\n\nUntitled, and\n\\# the end\n\n"
    )
    imported = [store.conversation(id) for id in import_file(store, file(data)).conversations]
    assert [(each.title, each.system, each.never_train) for each in imported] == [
        ("On # tea", "Be\n\nbrief.", True), ("", "", False),
    ]  # fmt: skip
    assert contents(store.branch(imported[0].id)) == ["Which tea?", "# Green\n\nas in\n\n## User"]
    assert contents(store.branch(imported[1].id)) == ["Untitled, and\n# the end"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("# A readme\n\nof some program", 'conversation 1: has no "## User" or "## Assistant" below a title'),
        ("# A readme\n\ntext\n\n# T\n\n## User\n\nHi", "conversation 1: has no"),
        ("# T\n\n## User\n\n## Assistant\n\nHi", "conversation 1: message 1 is empty"),
        (b"# T\n\n## User\n\n\xff", "it is not UTF-8"),
    ],
)
def test_markdown_that_is_no_export_is_refused(store: Store, file: File, data: str | bytes, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        import_file(store, file(data))
    assert store.conversations() == []


def test_a_look_counts_what_would_come_and_names_what_would_not(store: Store, file: File) -> None:
    system = '{"system": "s", "never_train": true, "conversations": [{"from": "human", "value": "a"}]}'
    path = file("\n".join([GOOD, "nonsense", system, '{"messages": []}']))
    looked = look_into(path)
    assert (looked.conversations, looked.messages, looked.systems, looked.kept_out) == (2, 3, 1, 1)
    assert looked.titles == ("Hello", "a")
    assert looked.problems == ("line 2: is not JSON", "line 4: has no messages")
    assert store.conversations() == []
    assert import_file(store, path, leave_out=True).messages == 3
    assert len(store.conversations()) == 2
    with pytest.raises(RefusedError, match="line 1: is not JSON"):
        look_into(file("nonsense"))
