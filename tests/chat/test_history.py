"""``lora-chat history`` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lora_chat.chat.conversation import Rating, Role, Status
from lora_chat.chat.store import Store
from lora_chat.cli.history import app
from lora_chat.errors import NotFoundError, RefusedError, UsageError
from lora_chat.training.forgetting import KEPT
from tests.chat.conftest import contents, talk

LINE = '{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}\n'


@pytest.fixture(autouse=True)
def home(database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORA_CHAT_HOME", str(database.parent))
    return database.parent


def history(*words: object, stdin: bytes = b"") -> tuple[str, str]:
    """Run the command; return what it answers and what it notes. A refusal is raised as the error it is."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    if result.exception:
        raise result.exception
    return result.stdout, result.stderr


def as_json(*words: object) -> Any:
    return json.loads(history(*words, "--json")[0])


def test_a_home_without_chats_says_how_to_begin_and_stays_as_it_is(home: Path) -> None:
    assert history("list") == ("", 'No conversations yet: `lora-chat ask "Hello"` begins one.\n')
    assert as_json("list") == {"conversations": []}
    assert as_json("search", "x") == {"hits": []}
    for command in [("show", "a"), ("export",), ("delete", "a", "--yes"), ("rate", 1, "good"), ("edit", 1, "x")]:
        with pytest.raises(NotFoundError, match="lora-chat ask"):
            history(*command)
    assert not home.exists()


def test_list_shows_each_conversation(store: Store) -> None:
    talk(store, "First thing", "a")
    talk(store, "\x1b[31mSecond thing")
    answer, notes = history("list")
    assert [line.split()[-2:] for line in answer.splitlines()[1:]] == [["[31mSecond", "thing"], ["First", "thing"]]
    assert notes == ""
    assert [(each["title"], each["messages"]) for each in as_json("list")["conversations"]] == [
        ("[31mSecond thing", 1), ("First thing", 2),
    ]  # fmt: skip


def test_show_prints_the_numbers_that_rate_and_edit_take(store: Store) -> None:
    question = talk(store, "q")[0]
    answer = store.add_message(
        question.conversation, Role.ASSISTANT, "wrong", parent=question.id, adapter="tea", scale=0.5,
        status=Status.STOPPED,
    )  # fmt: skip
    assert (
        f"[{answer.id}] assistant (adapter tea, scale 0.5, stopped)\nwrong\n"
        in history("show", question.conversation[:6])[0]
    )
    made = int(history("edit", answer.id, "right")[0].split()[1])
    history("rate", made, "good")
    assert (
        f"[{made}] assistant (rated good, corrects {answer.id}, 2 of 2: {answer.id}, {made})\nright\n"
        in history("show", question.conversation)[0]
    )
    assert store.message(made).rating is Rating.GOOD
    history("rate", made, "none")
    assert store.message(made).rating is None
    messages = as_json("show", question.conversation)["messages"]
    assert [(m["id"], m["content"], m["siblings"]) for m in messages] == [
        (question.id, "q", [question.id]), (made, "right", [answer.id, made]),
    ]  # fmt: skip


def test_show_names_the_model_of_each_answer_beside_what_it_wore(store: Store) -> None:
    question = talk(store, "q")[0]
    id = question.conversation
    answer = store.add_message(id, Role.ASSISTANT, "a", parent=question.id, base="tiny\x1b[31m-llama", adapter="tea")
    assert f"[{answer.id}] assistant (model tiny[31m-llama, adapter tea)\na\n" in history("show", id)[0]
    assert f"[{question.id}] user\nq\n" in history("show", id)[0]
    made = int(history("edit", answer.id, "b")[0].split()[1])
    assert f"[{made}] assistant (corrects {answer.id}, 2 of 2: " in history("show", id)[0]
    told = [(each["id"], each["base"]) for each in as_json("show", id)["messages"]]
    assert told == [(question.id, None), (made, None)]
    store.update_conversation(id, head=answer.id)
    assert as_json("show", id)["messages"][1]["base"] == "tiny[31m-llama"


def test_the_wanted_answer_can_come_from_stdin(store: Store) -> None:
    _, answer = talk(store, "q", "a")
    history("edit", answer.id, "-", stdin="two\nlines 好\n".encode())
    assert contents(store.branch(answer.conversation)) == ["q", "two\nlines 好"]


def test_what_cannot_be_rated_is_refused(store: Store) -> None:
    question, answer = talk(store, "q", "a")
    with pytest.raises(RefusedError, match="only answers"):
        history("rate", question.id, "good")
    with pytest.raises(UsageError, match="good, bad or none"):
        history("rate", answer.id, "great")


def test_pin_and_archive_say_where_the_chat_lists_it_and_off_takes_it_back(store: Store) -> None:
    id = talk(store, "My needle", "a")[0].conversation
    assert history("pin", id[:5])[0] == f'{id} "My needle" is pinned.\n'
    assert history("list")[0].splitlines()[1].split()[-4:] == ["pinned", "-", "My", "needle"]
    assert history("archive", id)[0] == f'{id} "My needle" is archived.\n'
    assert history("list")[0].splitlines()[1].split()[-4:] == ["archived", "-", "My", "needle"]
    assert "My needle (archived)" in history("search", "needle")[0]
    assert as_json("search", "needle")["hits"][0]["archived"] is True
    assert history("show", id)[0].startswith(f"{id}  My needle  (archived)\n")
    assert history("archive", id, "--off")[0] == f'{id} "My needle" is listed again.\n'
    assert history("pin", id, "--off")[0] == f'{id} "My needle" is no longer pinned.\n'
    (listed,) = as_json("list")["conversations"]
    assert (listed["pinned"], listed["archived"]) == (False, False)
    with pytest.raises(NotFoundError):
        history("pin", "ffff")


def test_search_finds_the_message(store: Store) -> None:
    question, _ = talk(store, "where is the needle", "here")
    assert f"{question.conversation}  {question.id}" in history("search", "needle")[0]
    (hit,) = as_json("search", "needle")["hits"]
    assert (hit["conversation"], hit["message"], hit["role"]) == (question.conversation, question.id, "user")
    assert history("search", "nothing such") == ("", "Nothing found.\n")


def test_an_export_goes_to_stdout_or_to_a_private_file_and_can_be_imported(store: Store, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    talk(store, "Hello", "Hi")
    assert history("export") == (LINE, "")
    output = tmp_path / "out.jsonl"
    output.write_text("old")
    answer, notes = history("export", "-o", output)
    assert (answer, output.read_text()) == ("", LINE)
    assert "Exported 1 conversation" in notes
    assert output.stat().st_mode & 0o777 == 0o600
    assert tmp_path.stat().st_mode & 0o777 == 0o755  # the person's folder is theirs
    assert history("import", output)[0] == "Imported 1 conversation with 2 messages.\n"
    assert [each.title for each in store.conversations()] == ["Hello", "Hello"]


def test_an_export_that_cannot_be_written_is_refused(store: Store, tmp_path: Path) -> None:
    talk(store, "Hello")
    for place in [tmp_path, tmp_path / "missing" / "x"]:
        with pytest.raises(RefusedError, match="choose another place"):
            history("export", "-o", place)
    with pytest.raises(UsageError, match="jsonl, md, sharegpt"):
        history("export", "--format", "xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_refused_import_makes_no_database(home: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(LINE + "{}\n")
    with pytest.raises(RefusedError, match="line 2"):
        history("import", tmp_path / "in.jsonl")
    assert not home.exists()
    (tmp_path / "in.jsonl").write_text(LINE)
    assert as_json("import", tmp_path / "in.jsonl")["messages"] == 2


def test_delete_asks_first(store: Store) -> None:
    (message,) = talk(store, "Hello")
    with pytest.raises(UsageError, match="with 1 message"):
        history("delete", message.conversation)
    assert len(store.conversations()) == 1
    assert history("delete", message.conversation[:7], "--yes")[0] == (
        f'Deleted {message.conversation} "Hello" with 1 message.\n'
    )
    assert store.conversations() == []


def test_a_conversation_is_kept_out_of_every_training_and_let_in_again(store: Store) -> None:
    id = talk(store, "My diary", "I see")[0].conversation
    assert history("never-train", id[:5])[0] == f'Nothing of {id} "My diary" is ever trained on; {KEPT}.\n'
    assert history("list")[0].splitlines()[1].split()[-3:] == ["never", "My", "diary"]
    assert history("show", id)[0].startswith(f"{id}  My diary  (never trained on)\n")
    assert as_json("list")["conversations"][0]["never_train"] is True
    assert history("never-train", id, "--off")[0] == f'{id} "My diary" may be trained on again.\n'
    assert history("list")[0].splitlines()[1].split()[-3:] == ["-", "My", "diary"]
    with pytest.raises(NotFoundError, match="No conversation"):
        history("never-train", "ffff")
