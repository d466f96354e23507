"""The person's own editor. Owns how it is found, given a text and asked for it back; never touches the screen, which
whoever calls has to leave to it first.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lora_chat.errors import RefusedError
from lora_chat.text import clean, clean_line


def find_editor(environ: Mapping[str, str]) -> list[str]:
    """The command that ``VISUAL``, else ``EDITOR``, names, with what stands behind it.

    Raises:
        RefusedError: neither is set, or what is named is not here.
    """
    variable = next((name for name in ("VISUAL", "EDITOR") if environ.get(name, "").strip()), None)
    if variable is None:
        raise RefusedError("Neither VISUAL nor EDITOR names an editor: set one, such as EDITOR=nano, and start anew.")
    named = clean_line(environ[variable], 60)
    try:
        command = shlex.split(environ[variable], posix=os.name == "posix")
    except ValueError as error:
        raise RefusedError(f'{variable} is "{named}", which is no command: close its quotes and start anew.') from error
    program = shutil.which(command[0]) if command else None
    if program is None:
        raise RefusedError(f'{variable} is "{named}", which is not installed: set it to an editor that is.')
    return [program, *command[1:]]


def edit(command: Sequence[str], text: str, longest: int) -> str:
    """Have ``text`` written anew with ``command`` and return what came of it, cleaned; waits until that has ended.

    The text lies in a file that only the person can read, and that is gone afterwards. ``longest`` is in characters.

    Raises:
        RefusedError: the program could not be started, ended with a failure, or left what is no text or too long.
    """
    name = Path(command[0]).name
    try:
        with tempfile.TemporaryDirectory(prefix="lora-chat-") as folder:  # 0700: also what an editor leaves beside it
            file = Path(folder, "prompt.md")
            file.write_text(text, encoding="utf-8")
            with _interrupts_are_its_own():
                code = subprocess.run([*command, str(file)]).returncode
            written = _read(file, longest) if code == 0 else b""
    except OSError as error:
        raise RefusedError(f"{name} could not be used ({error.strerror}): the prompt is as it was.") from error
    if code:
        raise RefusedError(f"{name} ended with code {code}: the prompt is as it was.")
    found = clean(written.decode("utf-8-sig", "replace")).removesuffix("\n")
    if len(found) > longest:
        raise RefusedError(
            f"That is longer than the {longest:,} characters a prompt holds: shorten it. The prompt is as it was."
        )
    return found


def _read(file: Path, longest: int) -> bytes:
    """No more of it than decides that it is too long."""
    with file.open("rb") as written:
        return written.read(longest * 4 + 4)


@contextmanager
def _interrupts_are_its_own() -> Iterator[None]:
    """Ctrl-C in an editor that leaves the terminal as it is reaches this program too: here it means nothing then."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: None)  # SIG_IGN would be the editor's as well
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
