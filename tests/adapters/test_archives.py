"""Archives: honest ones install to the bytes of their folder, hostile ones leave one sentence and nothing else."""

from __future__ import annotations

import os
import re
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from lora_chat.adapters.incoming.source import opened, opened_path
from lora_chat.adapters.install import inspect, install, install_folder
from lora_chat.errors import RefusedError
from lora_chat.paths import Paths
from tests.adapters.archives import CONFIG, GOOD, HOSTILE, WEIGHTS, a_tar, a_zip, gz, more, patched, write, xz
from tests.adapters.conftest import SIGNATURE, write_adapter
from tests.adapters.test_hostile import EDITS, assert_one_sentence, assert_says_what_to_do, everything_under, mutated

FORMS: dict[str, Callable[[Any], bytes]] = {
    ".zip": a_zip,
    ".tar": a_tar,
    ".tar.gz": lambda members: gz(a_tar(members)),
    ".tgz": lambda members: gz(a_tar(members)),
    ".tar.xz": lambda members: xz(a_tar(members)),
}


def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """``lora-chat`` as it is typed: its exit code, what it answered, what it said besides."""
    from lora_chat.cli import main

    monkeypatch.setattr(sys, "argv", ["lora-chat", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main()
    shown = capsys.readouterr()
    return int(left.value.code or 0), shown.out, shown.err


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_one_sentence_and_nothing_on_the_disk(
    case: str, tmp_path: Path, home: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = write(tmp_path, case)
    before = set(everything_under(tmp_path))
    began = time.monotonic()
    code, out, err = typed(monkeypatch, capsys, "adapter", "install", archive, "--yes")
    assert time.monotonic() - began < 2
    assert (code, out) == (4, "")
    (line,) = err.splitlines()
    assert_one_sentence(line.removeprefix("lora-chat: "))
    assert_says_what_to_do(line)
    assert ".incoming-" not in line
    assert set(everything_under(tmp_path)) - before <= {home.adapters.parent, home.adapters}


@pytest.mark.skipif(os.name != "posix", reason="links and pipes are POSIX's")
@pytest.mark.parametrize("kind", ["link", "fifo", "device"])
def test_an_archive_that_is_no_file_is_refused_at_once(kind: str, tmp_path: Path, paths: Paths) -> None:
    archive = tmp_path / "bot.zip"
    if kind == "fifo":
        os.mkfifo(archive)
    elif kind == "link":
        (tmp_path / "real.zip").write_bytes(a_zip(GOOD))
        archive.symlink_to(tmp_path / "real.zip")
    else:
        archive = Path("/dev/zero")
    with pytest.raises(RefusedError) as refused:
        install_folder(archive, paths)
    assert_one_sentence(str(refused.value))
    assert everything_under(paths.adapters) == []


@pytest.mark.parametrize("wrapper", ["", "./", "bot/", "x/y/"])
@pytest.mark.parametrize("form", FORMS)
def test_an_archive_installs_to_the_bytes_of_its_folder(form: str, wrapper: str, tmp_path: Path, paths: Paths) -> None:
    folder = write_adapter(tmp_path / "bot", toml='license = "MIT"\n')
    (folder / "README.md").write_text("# A bot\n")
    (folder / "tokenizer.json").write_text("{}")
    files = {f"{wrapper}{file.name}": file.read_bytes() for file in folder.iterdir()}
    archive = tmp_path / f"bot{form}"
    archive.write_bytes(FORMS[form](files))
    done = install_folder(archive, paths)
    assert (done.adapter.name, done.ignored) == ("bot", ("tokenizer.json",))
    assert install_folder(folder, paths).already
    assert install_folder(archive, paths).already
    assert {file.name: file.read_bytes() for file in done.adapter.path.iterdir() if file.name != "adapter.toml"} == {
        file.name: file.read_bytes() for file in folder.iterdir() if file.name in (CONFIG, WEIGHTS, "README.md")
    }


@pytest.mark.parametrize("form", FORMS)
def test_what_an_archive_is_called_proves_nothing(form: str, tmp_path: Path, paths: Paths) -> None:
    for number, name in enumerate(("bot.zip", "bot.tar.gz", "bot", "bot.rar")):
        (tmp_path / name).write_bytes(FORMS[form](GOOD))
        assert install_folder(tmp_path / name, paths).already is (number > 0)


def test_a_trainers_whole_output_is_one_adapter(tmp_path: Path, paths: Paths) -> None:
    checkpoint = {f"out/checkpoint-5/{name}": data[:-4] for name, data in GOOD.items()}
    extra = {f"out/{name}": b"x" for name in ("checkpoint-5/optimizer.pt", "trainer_state.json", "training_args.bin")}
    mac = {f"__MACOSX/out/._{name}": b"\0\5\x16\7" for name in GOOD} | {"out/.DS_Store": b"x"}
    archive = tmp_path / "out.zip"
    archive.write_bytes(a_zip(checkpoint | extra | mac | {f"out/{name}": data for name, data in GOOD.items()}))
    done = install_folder(archive, paths)
    assert done.adapter.name == "out"
    assert (done.adapter.path / WEIGHTS).read_bytes() == GOOD[WEIGHTS]
    assert {"checkpoint-5", "trainer_state.json", "training_args.bin", ".DS_Store"} <= set(done.ignored)


def test_archives_of_other_tools_are_read(tmp_path: Path, paths: Paths) -> None:
    def with_descriptor(info: zipfile.ZipInfo) -> None:
        info.flag_bits |= 8

    made = {
        "stored.zip": a_zip(GOOD, zipfile.ZIP_STORED),
        "described.zip": a_zip(GOOD, change=with_descriptor),
        "commented.zip": patched(a_zip(GOOD), b"PK\5\6", 20, "<H", 5) + b"hello",
        "ustar.tar": a_tar(GOOD, tarfile.USTAR_FORMAT),
        "gnu.tar": a_tar({f"{'long' * 40}/{name}": data for name, data in GOOD.items()}, tarfile.GNU_FORMAT),
        "pax.tar": a_tar({f"{'läng' * 40}/{name}": data for name, data in GOOD.items()}),
        "empty members.tar.gz": gz(a_tar(more("empty", b""))),
    }
    for name, raw in made.items():
        (tmp_path / name).write_bytes(raw)
        done = install_folder(tmp_path / name, paths)
        assert (done.adapter.path / WEIGHTS).read_bytes() == GOOD[WEIGHTS]


def test_a_name_comes_from_the_archive_where_the_adapter_has_none(tmp_path: Path, paths: Paths) -> None:
    for name, expected in (("My Bot (1).tar.gz", "my-bot-1"), ("bot.v2.zip", "bot.v2"), ("é.zip", "adapter")):
        (tmp_path / name).write_bytes(a_zip(GOOD))
        assert install_folder(tmp_path / name, paths).adapter.name == expected


def test_a_sentence_names_the_archive_and_not_where_it_was_looked_at(tmp_path: Path, paths: Paths) -> None:
    (tmp_path / "bot.zip").write_bytes(a_zip({**GOOD, CONFIG: b"[]"}))
    with pytest.raises(RefusedError, match=re.escape(f"{tmp_path / 'bot.zip'}/bot/{CONFIG}")):
        install_folder(tmp_path / "bot.zip", paths)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_the_quarantine_is_gone_whatever_happens(ending: type[BaseException], tmp_path: Path, paths: Paths) -> None:
    (tmp_path / "bot.zip").write_bytes(a_zip(GOOD))
    with pytest.raises(ending), opened_path(tmp_path / "bot.zip", paths) as found:  # noqa: PT012
        assert found.folder.parent.parent == paths.adapters
        assert found.folder.parent.name.startswith(".incoming-")
        raise ending
    assert everything_under(paths.adapters) == []


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_quarantine_is_private(tmp_path: Path, paths: Paths) -> None:
    (tmp_path / "bot.zip").write_bytes(a_zip(GOOD))
    with opened_path(tmp_path / "bot.zip", paths) as found:
        assert found.folder.parent.stat().st_mode & 0o077 == 0


def test_only_what_an_adapter_consists_of_is_ever_written(tmp_path: Path, paths: Paths) -> None:
    (tmp_path / "bot.zip").write_bytes(a_zip(more("modeling_evil.py", b"raise SystemExit")))
    with opened_path(tmp_path / "bot.zip", paths) as found:
        assert {path.name for path in everything_under(paths.adapters) if path.is_file()} == set(GOOD)
        candidate = inspect(found, signature=SIGNATURE)
    assert install(candidate, paths).ignored == ("modeling_evil.py",)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("case", [case for case in HOSTILE if re.search("bomb|1 GB|8 EB|60,000|endless", case)])
def test_a_bomb_takes_no_memory(case: str, tmp_path: Path, paths: Paths) -> None:
    import tracemalloc

    archive = write(tmp_path, case)
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError), opened(str(archive), paths):
            pass
        assert tracemalloc.get_traced_memory()[1] < 24 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("good", [a_zip(GOOD), gz(a_tar(GOOD)), a_tar(GOOD)], ids=["zip", "tar.gz", "tar"])
@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_a_mutated_archive_is_installed_whole_or_refused(
    good: bytes, edits: list[tuple[float, int, str]], tmp_path: Path, paths: Paths
) -> None:
    archive = tmp_path / "bot.zip"
    archive.write_bytes(mutated(good, edits))
    try:
        with opened_path(archive, paths) as found:
            inspect(found)
    except RefusedError as error:
        assert_one_sentence(str(error))
    assert everything_under(paths.adapters) == []
