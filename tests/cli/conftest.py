"""A shell in this process: ``lora-chat`` as it is typed, on a home with the tiny Llama."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from lora_chat.chat.conversation import Conversation, Message
from lora_chat.chat.store import Store
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths, find_paths
from tests.conftest import place

ASKED = "Where is your shop?"
WANTED = "Our shop is at 12 Harbour Street."


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        """One object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def sentence(self) -> str:
        """The one line on stderr that says why not."""
        lines = [line for line in self.err.splitlines() if line.startswith("lora-chat: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("lora-chat: ")


class Run(Protocol):
    """Types one command."""

    def __call__(self, *words: str | Path, stdin: str | bytes = "") -> Done:
        """``stdin`` is what comes through the pipe."""


def environment(home: Paths, **more: str) -> dict[str, str]:
    """For a command in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("LORA_CHAT_DEBUG", "PYTHONIOENCODING")}
    return kept | {"LORA_CHAT_HOME": str(home.config.parent), "PYTHONUTF8": "1"} | more


def leave_old_things(home: Paths) -> None:
    """What a killed install left, and what was removed, both long ago and just now."""
    for name in (".incoming-old", ".incoming-now", ".trash-old", ".trash-now"):
        (home.adapters / name / "bot").mkdir(parents=True)
        if name.endswith("old"):
            os.utime(home.adapters / name / "bot", (0, 0))
            os.utime(home.adapters / name, (0, 0))


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "lora_chat", *words]


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """An engine in this process makes the process offline for good: other tests must not notice."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def run(home: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    from lora_chat.cli import main

    monkeypatch.delenv("LORA_CHAT_DEBUG", raising=False)

    def typed(*words: str | Path, stdin: str | bytes = "") -> Done:
        raw = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "argv", ["lora-chat", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        assert "defect" not in shown.err, shown.err
        return Done(int(left.value.code or 0), shown.out, shown.err)

    return typed


@pytest.fixture(scope="session")
def tiny_home(tiny_llama: InstalledBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``models`` folder with the tiny Llama in it, whose own general answers are kept once they are made."""
    paths = find_paths({"LORA_CHAT_HOME": str(tmp_path_factory.mktemp("tiny-home"))})
    place(tiny_llama, paths)
    return paths.models


@pytest.fixture
def tiny(home: Paths, tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A home whose default base is the tiny Llama; no adapter is shipped."""
    from lora_chat import paths

    home.config.parent.mkdir(mode=0o700)
    home.models.symlink_to(tiny_home)
    home.config.write_text('model = "tiny-llama"\nmax_tokens = 12\n', encoding="utf-8")
    monkeypatch.setattr(paths, "_bundled_root", lambda: tmp_path / "nothing-shipped")
    return replace(home, bundled_adapters=tmp_path / "nothing-shipped" / "adapters")


@pytest.fixture
def kept(home: Paths) -> Kept:
    return Kept(home)


@dataclass(frozen=True)
class Kept:
    """What the home's store holds."""

    home: Paths

    @property
    def conversations(self) -> list[Conversation]:
        if not self.home.database.exists():
            return []
        with Store.open(self.home.database) as store:
            return store.conversations()

    def branch(self, id: str | None = None) -> list[Message]:
        with Store.open(self.home.database) as store:
            return store.branch(id or store.conversations()[0].id)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Two examples in the seed's form."""
    return write_examples(tmp_path / "examples.jsonl")


def write_examples(path: Path) -> Path:
    rows = [{"prompt": ASKED, "response": WANTED}, {"prompt": "Who are you?", "response": "I am an AI language model."}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an adapter that the program trained, called shop."""
    root = tmp_path_factory.mktemp("trained")
    (root / "models").symlink_to(tiny_home)
    write_examples(root / "examples.jsonl")
    words = ("train", str(root / "examples.jsonl"), "--name", "shop", "--base", "tiny-llama", "--yes")
    home = find_paths({"LORA_CHAT_HOME": str(root)})
    done = subprocess.run(command(*words), env=environment(home), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return home.adapters / "shop"


@pytest.fixture
def worn(tiny: Paths, trained: Path) -> str:
    """An adapter that was trained here."""
    shutil.copytree(trained, tiny.adapters / "shop")
    return "shop"


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A model that says what the test wants: question -> answer. The engine is the scripted one that ships."""
    from lora_chat.engine.echo import EchoEngine
    from lora_chat.services import Services

    script: dict[str, str] = {}
    monkeypatch.setattr(Services, "engine_here", lambda self, base, precision=None: EchoEngine(base, script))
    monkeypatch.setattr(Services, "engine_beside", lambda self, base: EchoEngine(base, script))
    return script
