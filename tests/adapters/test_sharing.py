"""``lora-chat adapter pack`` and ``export``: what is shown, what is asked, and that nothing of a person's is lost."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lora_chat.cli import adapter as commands
from lora_chat.cli import console
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError, UsageError
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from tests.adapters.conftest import config, write_adapter
from tests.conftest import place

MODULES = ("q_proj", "v_proj")


@pytest.fixture
def open_bot(home: Paths) -> Path:
    return write_adapter(home.adapters / "open-bot", toml='license = "MIT"\n')


@pytest.fixture
def my_bot(home: Paths) -> Path:
    return write_adapter(home.adapters / "my-bot", toml="private = true\n")


@pytest.fixture
def fitting(home: Paths, tiny_llama: InstalledBase) -> Path:
    """A private adapter for a base of this machine."""
    place(tiny_llama, home)
    settings = config(base_model_name_or_path="tiny-llama", target_modules=["up_proj"], r=2)
    found = {}
    for layer in range(2):
        for side, shape in (("A", (2, 64)), ("B", (128, 2))):
            name = f"base_model.model.model.layers.{layer}.mlp.up_proj.lora_{side}.weight"
            found[name] = ("F32", shape, b"\x00\x00\x80\x3e" * (shape[0] * shape[1]))
    return write_adapter(home.adapters / "fitting", settings, found, "private = true\n")


def run(*words: object, types: str | None = None) -> Result:
    return CliRunner().invoke(commands.app, [str(word) for word in words], input=types)


def refused(*words: object) -> LoraChatError:
    found = run(*words).exception
    assert isinstance(found, LoraChatError), found
    return found


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "is_interactive", lambda: True)


def test_what_leaves_is_shown_file_by_file_and_field_by_field(open_bot: Path, tmp_path: Path) -> None:
    done = run("pack", "open-bot", "-o", tmp_path / "x.zip")
    assert done.stdout == f"open-bot is packed in {tmp_path / 'x.zip'}\n"
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        for name in archive.namelist():
            data = archive.read(name)
            assert any(
                f" {name}, {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()}" in line
                for line in done.stderr.splitlines()
            ), name
        for line in archive.read("adapter.toml").decode().splitlines():
            assert line in done.stderr


def test_it_is_packed_under_its_own_name_where_one_is_or_into_a_folder(
    open_bot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("pack", "open-bot")
    (tmp_path / "out").mkdir()
    run("pack", "open-bot", "-o", "out")
    assert (tmp_path / "open-bot.zip").read_bytes() == (tmp_path / "out" / "open-bot.zip").read_bytes()


def test_a_private_one_asks_and_no_answer_is_no(my_bot: Path, tmp_path: Path, at_a_terminal: None) -> None:
    for typed in ("\n", "n\n", ""):
        done = run("pack", "my-bot", "-o", tmp_path / "x.zip", types=typed)
        assert "is private" in done.stderr
        assert "[y/N]" in done.stderr
        assert done.stderr.endswith("Nothing was written.\n")
        assert not (tmp_path / "x.zip").exists()
    assert "packed" in run("pack", "my-bot", "-o", tmp_path / "x.zip", types="y\n").stdout
    assert "private = true" in (my_bot / "adapter.toml").read_text()


def test_without_a_terminal_a_private_one_leaves_by_yes_alone(my_bot: Path, tmp_path: Path) -> None:
    assert isinstance(refused("pack", "my-bot", "-o", tmp_path / "x.zip"), UsageError)
    assert not (tmp_path / "x.zip").exists()
    assert "packed" in run("pack", "my-bot", "-o", tmp_path / "x.zip", "--yes").stdout


def test_something_else_is_replaced_by_consent_alone_and_the_same_needs_none(open_bot: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.zip"
    target.write_text("my thesis")
    assert isinstance(refused("pack", "open-bot", "-o", target), UsageError)
    assert target.read_text() == "my thesis"
    assert "packed" in run("pack", "open-bot", "-o", target, "--yes").stdout
    before = target.stat().st_mtime_ns
    assert "packed" in run("pack", "open-bot", "-o", target).stdout
    assert target.stat().st_mtime_ns == before


def test_a_link_is_never_written_through(open_bot: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("mine")
    (tmp_path / "x.zip").symlink_to(tmp_path / "thesis")
    assert isinstance(refused("pack", "open-bot", "-o", tmp_path / "x.zip", "--yes"), RefusedError)
    assert (tmp_path / "thesis").read_text() == "mine"


def test_a_data_type_is_asked_for_and_unknown_ones_are_refused(open_bot: Path, tmp_path: Path) -> None:
    run("pack", "open-bot", "-o", tmp_path / "whole.zip")
    done = run("pack", "open-bot", "-o", tmp_path / "half.zip", "--dtype", "bf16")
    assert "in bf16" in done.stderr
    whole, half = (
        zipfile.ZipFile(io.BytesIO((tmp_path / name).read_bytes())).getinfo("adapter_model.safetensors").file_size
        for name in ("whole.zip", "half.zip")
    )
    assert half < whole
    assert run("pack", "open-bot", "--dtype", "int4").exit_code == 2


@pytest.mark.parametrize(
    "words", [("pack", "nobody"), ("export", "nobody", "--format", "peft", "-o", "nowhere"), ("pack", "../open-bot")]
)
def test_what_is_not_there_is_exit_3(words: tuple[str, ...], open_bot: Path) -> None:
    assert refused(*words).exit_code == 3


@pytest.mark.parametrize("form", ["peft", "merged", "gguf"])
def test_each_form_is_written_and_a_private_one_asks(form: str, fitting: Path, tmp_path: Path) -> None:
    target = tmp_path / form
    assert isinstance(refused("export", "fitting", "--format", form, "-o", target), UsageError)
    assert not target.exists()
    assert "is exported" in run("export", "fitting", "--format", form, "-o", target, "--yes").stdout
    assert {"peft": "adapter_config.json", "merged": "model.safetensors"}.get(form, "") in map(
        str, [""] if target.is_file() else [file.name for file in target.iterdir()]
    )
    error = refused("export", "fitting", "--format", form, "-o", target, "--yes")
    assert (error.exit_code, "is there already" in str(error)) == (4, True)
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


@pytest.mark.parametrize("verb", [("pack",), *(("export", "--format", form) for form in ("peft", "gguf", "merged"))])
def test_where_it_goes_is_made_for_others_too_and_what_cannot_be_made_is_refused(
    verb: tuple[str, ...], fitting: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for where in ("~nobody-here/x", tmp_path / "file" / "x"):
        error = refused(*verb, "fitting", "-o", where, "--yes")
        assert (error.exit_code, "LORA_CHAT_HOME" in str(error)) == (4, False)
    before = os.umask(0o022)
    try:
        assert run(*verb, "fitting", "-o", tmp_path / "new" / "below" / "x", "--yes").exit_code == 0
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "below" / "x").exists()
    if os.name == "posix":
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755


_ENDED = """
import os, signal, sys
from lora_chat.cli import main
number, fsync = getattr(signal, sys.argv.pop(1)), os.fsync
def flush(descriptor):
    os.kill(os.getpid(), number)
    fsync(descriptor)
os.fsync = flush
main()
"""
"""``lora-chat``, sent a signal when what leaves is written but not in its place yet."""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_ended_while_it_writes_it_leaves_nothing(number: str, fitting: Path, tmp_path: Path) -> None:
    for verb in (("pack",), *(("export", "--format", form) for form in ("peft", "gguf", "merged"))):
        into = tmp_path / "out" / verb[-1]
        words = [sys.executable, "-c", _ENDED, number, "adapter", *verb, "fitting", "-o", str(into / "x"), "--yes"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (130, ""), done.stderr
        assert done.stderr.endswith("lora-chat: Interrupted.\n")
        assert list(into.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_mixture_ended_while_it_is_saved_leaves_nothing(home: Paths, open_bot: Path, my_bot: Path) -> None:
    mix = ["adapter", "mix", "open-bot=0.5", "my-bot=0.5", "--name", "both", "--yes"]
    done = subprocess.run([sys.executable, "-c", _ENDED, "SIGTERM", *mix], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (130, "lora-chat: Interrupted.")
    assert sorted(each.name for each in home.adapters.iterdir()) == ["my-bot", "open-bot"]


def test_a_missing_base_is_named(open_bot: Path, tmp_path: Path) -> None:
    error = refused("export", "open-bot", "--format", "gguf", "-o", tmp_path / "x.gguf")
    assert isinstance(error, NotFoundError)
    assert "tiny/Llama-Random is not on this machine" in str(error)


def test_an_adapter_that_does_not_fit_is_refused(open_bot: Path, fitting: Path, tmp_path: Path) -> None:
    error = refused("export", "open-bot", "--format", "peft", "-o", tmp_path / "x", "--model", "tiny-llama")
    assert (error.exit_code, "does not fit" in str(error)) == (4, True)
