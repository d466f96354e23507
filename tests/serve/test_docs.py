"""docs/serve.md: its examples run, its tables are the code's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lora_chat.cli.serve import PACKAGES
from lora_chat.models.installed import InstalledBase
from lora_chat.serve.app import LARGEST_BODY
from lora_chat.serve.question import DONE, IGNORED, NEUTRAL
from lora_chat.serve.queue import ROOM
from tests.serve.conftest import Server, Start, write_lora

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")


def examples(server: Server) -> tuple[list[str], str]:
    """The curl commands and the Python program, for a server that has another base on another port."""
    page = PAGE.replace("127.0.0.1:8642", f"127.0.0.1:{server.port}").replace("smollm2-135m:", "base:")
    shell, python = re.search(r"## Asking.*?```sh\n(.*?)```.*?```python\n(.*?)```", page, re.DOTALL).groups()  # type: ignore[union-attr]
    return shell.strip().split("\n\n"), python


@pytest.fixture
def pirates(start: Start, tiny_llama: InstalledBase) -> Server:
    server = start()
    write_lora(server.home.adapters / "pirate", tiny_llama, 3)
    return server


@pytest.mark.skipif(not shutil.which("curl") or sys.platform == "win32", reason="no curl or no shell")
def test_the_curl_examples_run(pirates: Server) -> None:
    (models, completion), _ = examples(pirates)
    listed = json.loads(subprocess.run(models, shell=True, capture_output=True, check=True).stdout)
    assert "tiny-llama:pirate" in [each["id"] for each in listed["data"]]
    done = json.loads(subprocess.run(completion, shell=True, capture_output=True, check=True).stdout)
    assert done["model"] == "tiny-llama:pirate"
    assert set(done["choices"][0]["message"]["content"].split()) == {"(pirate", "1)", "Where", "is", "your", "ship?"}


def test_the_python_example_runs(pirates: Server) -> None:
    _, program = examples(pirates)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[:4] == ["tiny-llama", "tiny-llama:bot", "tiny-llama:pirate", "tiny-llama:shop"]
    assert lines[4:] == ["(pirate 0.8) Where is your ship?", "5 tokens"]


def names(heading: str) -> dict[str, str]:
    """The rows of the table with that heading."""
    rows = PAGE.split(f"| {heading} |")[1].split("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ?(.*?) ?\|$", rows, re.MULTILINE))


def test_the_parameters_are_the_codes() -> None:
    assert tuple(names("done")) == tuple(sorted(DONE, key=list(names("done")).index))
    assert names("refused") == {
        name: ", ".join(f"`{json.dumps(value)}`" for value in values) for name, values in NEUTRAL.items()
    }
    ignored = PAGE.split("nothing of them is kept: ")[1].split(". Every other")[0]
    assert tuple(re.findall(r"`(\w+)`", ignored)) == IGNORED


def test_the_bounds_are_the_codes() -> None:
    assert f"{ROOM} requests wait already" in PAGE
    assert f"{ROOM} wait at most" in PAGE
    assert f"more than {LARGEST_BODY >> 20} MB" in PAGE
    assert "or up to 16" in PAGE


def test_what_the_server_needs_is_installed_for_the_tests() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(extras["serve"]) <= set(extras["test"])
    assert [re.split(r"[<>=]", each)[0] for each in extras["serve"]] == list(PACKAGES)
