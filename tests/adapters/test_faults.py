"""An install that is killed, or that the disk fails, at every point: whole or invisible, and swept."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lora_chat.adapters.install import install_folder
from lora_chat.adapters.registry import discover
from lora_chat.errors import LoraChatError
from lora_chat.paths import Paths
from tests.adapters.archives import GOOD, a_tar, a_zip, xz
from tests.adapters.conftest import paths_under, write_adapter
from tests.adapters.test_hostile import assert_one_sentence, everything_under

# Installs once for each point at which Python touches the disk, in a child of its own that kills itself there.
_KILLED = """
import os, signal, sys
from pathlib import Path
from lora_chat.adapters.install import install_folder
from tests.adapters.conftest import paths_under
source, root = map(Path, sys.argv[1:])
TOUCHES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.utime", "shutil.rmtree"}
point, ended = 0, False
while not ended:
    point += 1
    pid = os.fork()
    if pid == 0:
        left = [point]
        def watch(event, arguments):
            if event in TOUCHES:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(watch)
        install_folder(source, paths_under(root / str(point)))
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print(point)
"""


def source_of(form: str, tmp_path: Path) -> Path:
    if form == "folder":
        return write_adapter(tmp_path / "bot")
    path = tmp_path / f"bot.{form}"
    path.write_bytes(a_zip(GOOD) if form == "zip" else xz(a_tar(GOOD)))
    return path


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills its own children")
@pytest.mark.parametrize("form", ["folder", "zip", "tar.xz"])
def test_killed_at_any_point_it_is_whole_or_invisible(form: str, tmp_path: Path) -> None:
    source, root = source_of(form, tmp_path), tmp_path / "homes"
    words = [sys.executable, "-c", _KILLED, str(source), str(root)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parent.parent.parent)
    assert done.returncode == 0, done.stderr
    points = int(done.stdout)
    assert points > 15
    seen = set()
    for point in range(1, points + 1):
        paths = paths_under(root / str(point))
        catalog = discover(paths)
        assert catalog.problems == ()
        seen.add(tuple(adapter.name for adapter in catalog.adapters))
        again = install_folder(source, paths)
        assert again.already is bool(catalog.adapters)
        assert {name: (again.adapter.path / name).read_bytes() for name in GOOD} == GOOD
    assert seen == {(), ("bot",)}


class FailingDisk:
    """A disk whose ``nth`` write, flush, rename or new folder finds no room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
        self.left = nth
        monkeypatch.setattr(io, "open", self._opening(io.open))
        for name in ("fsync", "replace", "mkdir", "rename"):
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def spend(self) -> None:
        """One more of the disk's calls. Raises OSError: it is the nth."""
        self.left -= 1
        if self.left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _failing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def failing(*arguments: Any, **named: Any) -> Any:
            self.spend()
            return call(*arguments, **named)

        return failing

    def _opening(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opening(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            opened = call(file, mode, *arguments, **named)
            if set(mode) & set("wxa"):
                self.spend()
                return _Failing(opened, self)
            return opened

        return opening


class _Failing:
    """A file that asks the disk before each write."""

    def __init__(self, file: Any, disk: FailingDisk) -> None:
        self._file = file
        self._disk = disk

    def write(self, data: bytes) -> int:
        self._disk.spend()
        return int(self._file.write(data))

    def __enter__(self) -> _Failing:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@pytest.mark.parametrize("form", ["folder", "zip", "tar.xz"])
def test_a_full_disk_at_the_nth_call_is_one_sentence_and_nothing_left(form: str, tmp_path: Path) -> None:
    source, nth, installed = source_of(form, tmp_path), 0, False
    while not installed:
        nth += 1
        paths: Paths = paths_under(tmp_path / "homes" / str(nth))
        with pytest.MonkeyPatch.context() as patched:
            disk = FailingDisk(patched, nth)
            try:
                install_folder(source, paths)
                installed = True
                assert disk.left > 0
            except LoraChatError as error:
                assert_one_sentence(str(error))
                assert everything_under(paths.adapters) == []
    assert nth > (10 if form == "folder" else 15)
