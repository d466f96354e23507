"""A file that only a plugin reads, while that one does not run: it is named, and nothing of it runs."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from lora_chat import language
from lora_chat.paths import Paths
from tests.cli.conftest import Run, run, same_environment, tiny, tiny_home  # noqa: F401
from tests.plugins.conftest import Host
from tests.plugins.test_shipped import CLAUDE, ROOT, TREE

NOTES = """
from lora_chat.plugins.api import hookimpl

@hookimpl
def lora_chat_importers(registrar):
    registrar.add("notes", [".notes"], lambda path: True, lambda path: [])
"""


def put(folder: Path, name: str, what: object) -> Path:
    """The export as a file, or as a zip of it, with what else such a zip has."""
    text = json.dumps([what])
    if name.endswith(".zip"):
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("export/chat.html", "<html></html>")
            packed.writestr("export/a.json", "[]")
            packed.writestr("export/conversations.json", text)
            packed.writestr("export/users.json", '[{"uuid": 1}]')
    else:
        (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("file", ["conversations.json", "data.zip"])
@pytest.mark.parametrize(("name", "what"), [("chatgpt", TREE), ("claude", CLAUDE)])
def test_the_plugin_that_would_read_it_is_named(
    run: Run,  # noqa: F811
    home: Paths,
    tmp_path: Path,
    file: str,
    name: str,
    what: object,
) -> None:
    refused = run("history", "import", put(tmp_path, file, what))
    assert refused.code == 4
    hint = f"Or enable the plugin that reads such files: lora-chat plugin enable {name}."
    assert refused.sentence.endswith(hint)
    assert not list(home.logs.glob("plugin-*.log"))  # which is begun with its process
    assert run("plugin", "enable", name, "--yes").code == 0
    assert run("history", "import", tmp_path / file).code == 0


@pytest.mark.parametrize("what", [{"messages": "none"}, {"mapping": {}}, 3])
def test_what_no_plugin_would_read_names_none(
    run: Run,  # noqa: F811
    home: Paths,
    tmp_path: Path,
    what: object,
) -> None:
    refused = run("history", "import", put(tmp_path, "conversations.json", what))
    assert refused.code == 4
    assert "Or enable" not in refused.sentence


def test_one_that_cannot_be_enabled_now_says_what_can_be_done(
    run: Run,  # noqa: F811
    home: Paths,
    tmp_path: Path,
) -> None:
    refused = run("history", "import", put(tmp_path, "conversations.json", TREE), "--safe-mode")
    assert refused.sentence.endswith("The plugin chatgpt reads such files, and this is the safe mode, which runs none: "
                                     "start without it.")  # fmt: skip


def test_of_one_that_was_disabled_its_endings_are_remembered(
    run: Run,  # noqa: F811
    home: Paths,
    tmp_path: Path,
) -> None:
    Host(home, None).put("notes", NOTES)  # type: ignore[arg-type]
    (tmp_path / "a.notes").write_text("a note", encoding="utf-8")
    assert "Or enable" not in run("history", "import", tmp_path / "a.notes").sentence
    assert run("plugin", "enable", "notes", "--yes").code == 0
    assert run("plugin", "disable", "notes").code == 0
    assert run("history", "import", tmp_path / "a.notes").sentence.endswith("lora-chat plugin enable notes.")


def test_one_that_reads_it_and_refuses_it_is_not_to_be_enabled_again(
    run: Run,  # noqa: F811
    home: Paths,
    tmp_path: Path,
) -> None:
    source = NOTES.replace("lambda path: []", "read") + "\ndef read(path):\n    yield 3\n"
    Host(home, None).put("notes", source, 'name = "notes"\n[reads]\nendings = [".notes"]\n')  # type: ignore[arg-type]
    assert run("plugin", "enable", "notes", "--yes").code == 0
    (tmp_path / "a.notes").write_text("a note", encoding="utf-8")
    refused = run("history", "import", tmp_path / "a.notes")
    assert "is switched off: it raised TypeError" in refused.sentence
    assert "Or enable" not in refused.sentence


def test_the_chat_says_what_is_typed_there(run: Run, tiny: Paths, tmp_path: Path) -> None:  # noqa: F811
    shutil.copytree(ROOT / "plugins" / "claude", tiny.plugins / "claude", ignore=shutil.ignore_patterns("__pycache__"))
    said = run("--plain", stdin=f"/import {put(tmp_path, 'conversations.json', CLAUDE)}\n")
    assert said.code == 4
    assert said.err.strip().endswith("Or enable the plugin that reads such files: /plugin enable claude.")


def test_it_is_said_in_chinese() -> None:
    language.speak("zh")
    try:
        said = language.tr(
            'x.json was not imported, nothing was changed. conversation 1: has neither "messages" nor "conversations". '
            "Or enable the plugin that reads such files: lora-chat plugin enable chatgpt."
        )
    finally:
        language.speak("en")
    assert said.endswith("或启用可读取这类文件的插件：lora-chat plugin enable chatgpt。")


# A zip that is cut short


@pytest.mark.parametrize("on", [False, True])
def test_a_zip_that_is_cut_short_is_told_as_one(run: Run, home: Paths, tmp_path: Path, on: bool) -> None:  # noqa: F811
    if on:
        assert run("plugin", "enable", "chatgpt", "--yes").code == 0
    file = put(tmp_path, "export.zip", TREE)
    file.write_bytes(file.read_bytes()[:-40])
    for more in ([], ["--leave-out"]):
        refused = run("history", "import", file, *more)
        assert refused.code == 4
        assert refused.sentence == f"{file} is a zip that is cut short or damaged: fetch it again; nothing was changed."
    assert not home.database.exists()


@pytest.mark.parametrize("on", [False, True])
def test_a_zip_whose_conversations_are_damaged_is_not_told_to_have_none(
    run: Run,  # noqa: F811
    home: Paths,
    tmp_path: Path,
    on: bool,
) -> None:
    if on:
        assert run("plugin", "enable", "chatgpt", "--yes").code == 0
    file, text = tmp_path / "export.zip", json.dumps(TREE)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("conversations.json", text)
    begins = 30 + len("conversations.json")
    whole = file.read_bytes()
    file.write_bytes(whole[:begins] + b"\xff" * 20 + whole[begins + 20 :])
    refused = run("history", "import", file)
    assert refused.sentence == f"{file} is a zip that is cut short or damaged: fetch it again; nothing was changed."


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("reads = 3", "its reads must be a table"),
        ('reads = { endings = ".json" }', "its reads must be a table"),
        ("reads = { keys = [3] }", "its reads must be a table"),
        ('reads = { endings = ["json"] }', 'not "json"'),
        ('reads = { endings = [".json"], member = "x" }', 'the key "member", which is unknown'),
    ],
)
def test_a_plugin_that_says_it_wrongly_is_told(host: Host, toml: str, said: str) -> None:
    host.put(toml=f'name = "up"\n{toml}\n')
    [problem] = host.plugins.shelf().problems
    assert said in problem.reason
