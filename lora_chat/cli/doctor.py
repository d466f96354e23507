"""``lora-chat doctor`` and ``paths``: what is here and what is wrong. Owns the checks' order; changes nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from lora_chat.config import Config
    from lora_chat.models.installed import InstalledBase
    from lora_chat.paths import Paths

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

PACKAGES = ("torch", "numba", "transformers", "peft", "datasets", "textual", "pip")


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    verdict: Literal["ok", "note", "problem"]
    says: str


def show_paths(json: Json = False) -> None:
    """Say where everything is."""
    from lora_chat.cli.console import answer, answer_json
    from lora_chat.paths import find_paths

    places = find_paths(os.environ).as_dict()
    if json:
        answer_json(places)
        return
    width = max(map(len, places))
    for name, place in places.items():
        answer(f"{name.replace('_', ' '):{width}}  {place}")


def doctor(json: Json = False) -> None:
    """Look at the machine, the settings and everything kept, and say what is wrong; changes nothing."""
    from lora_chat.cli.console import answer, answer_json
    from lora_chat.errors import RefusedError

    checks = list(_checks())
    problems = [check for check in checks if check.verdict == "problem"]
    if json:
        answer_json({"ok": not problems, "checks": [asdict(check) for check in checks]})
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            answer(f"{check.verdict:7}  {check.name:{width}}  {check.says}")
    if problems:
        raise RefusedError(f"{len(problems)} of {len(checks)} checks found a problem: see {problems[0].name} first.")


def _checks() -> Iterator[Check]:
    from lora_chat import __version__
    from lora_chat.cli.answering import who_answers
    from lora_chat.config import Config, load_config
    from lora_chat.errors import LoraChatError
    from lora_chat.models.own import read_own
    from lora_chat.paths import find_paths

    yield Check("lora-chat", "ok", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    yield from _packages()
    hardware, device = _hardware()
    yield hardware
    paths = find_paths(os.environ)
    config, are_read = Config(), False
    try:
        config, are_read = load_config(paths.config), True
        own = read_own(paths.config)
        yield Check("settings", "ok", str(paths.config) if paths.config.exists() else "all defaults")
        for wrong in own.problems:
            yield Check("settings", "problem", wrong.reason)
    except LoraChatError as error:
        yield Check("settings", "problem", str(error))
    yield _home(paths)
    yield _store(paths)
    yield from _models(paths, config, device)
    yield from _adapters(paths)
    yield from _plugins(paths)
    if are_read:
        yield from who_answers(paths, config)


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check(name, "ok", version(name))
        except PackageNotFoundError:
            yield Check(name, "problem", f"{name} is not installed: install lora-chat again.")


def _hardware() -> tuple[Check, str]:
    """Threads and accelerator, as torch sees them: this is what loads it. And the accelerator alone."""
    try:
        import torch

        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return Check("hardware", "ok", f"{device}, {torch.get_num_threads()} threads of {os.cpu_count()} cores"), device
    except Exception as error:  # a broken native library raises anything
        return Check("hardware", "problem", f"torch cannot be imported ({error}): install it again."), "cpu"


def _home(paths: Paths) -> Check:
    folder = paths.database.parent
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(there, os.W_OK):
        return Check("home", "problem", f"{there} is not writable: correct its permissions or set LORA_CHAT_HOME.")
    if os.name == "posix" and folder.exists() and folder.stat().st_mode & 0o077:
        return Check("home", "problem", f"{folder} can be read by others: run `chmod 700 {folder}`.")
    return Check("home", "ok", str(folder))


def _store(paths: Paths) -> Check:
    from lora_chat.chat.store import Store
    from lora_chat.errors import LoraChatError

    if not paths.database.exists():
        return Check("chats", "ok", f"none yet (SQLite {sqlite3.sqlite_version})")
    try:
        with Store.open(paths.database) as store:
            wrong = store.check()
            count = len(store.conversations())
    except LoraChatError as error:
        return Check("chats", "problem", str(error))
    if wrong:
        return Check("chats", "problem", "; ".join(wrong))
    return Check("chats", "ok", f"{count} conversations, SQLite {sqlite3.sqlite_version}")


def _models(paths: Paths, config: Config, device: str) -> Iterator[Check]:
    from lora_chat.models.installed import list_bases

    bases, problems = list_bases(paths.models)
    for base in bases:
        known = base.signature.architecture
        how = _decoding(base, paths, config, device)
        yield Check(f"model {base.name}", "ok", f"{known}, {base.parameters:,} parameters, {how}")
    for problem in problems:
        yield Check(f"model {problem.path.name}", "problem", problem.reason)
    if not any(base.name == config.model or base.signature.is_named(config.model) for base in bases):
        yield Check("model", "note", f"{config.model} is not here: run `lora-chat model pull {config.model}`")


def _decoding(base: InstalledBase, paths: Paths, config: Config, device: str) -> str:
    """Which path its replies take, in what precision, and why not the other."""
    from lora_chat.decoder.shape import UnknownShape, read_shape
    from lora_chat.decoder.verdict import read_verdict
    from lora_chat.engine.kept import kept_for
    from lora_chat.errors import LoraChatError
    from lora_chat.models.installed import weights_key
    from lora_chat.text import clean_line

    try:
        if device != "cpu":
            raise UnknownShape(f"the fast one knows the CPU, and this is {device}")
        read_shape(base.folder)
    except UnknownShape as why:
        return f"general path ({clean_line(str(why), 200)})"
    if config.precision != "auto":
        return f"fast path, {config.precision}"
    try:
        verdict = read_verdict(kept_for(base, paths).folder, weights_key(base))
    except LoraChatError as error:
        return clean_line(str(error), 200)
    if verdict is None or verdict.chosen is None:
        return "fast path; what auto means is measured when it is first loaded"
    losses = ", ".join(f"{name} {loss:.3f}" for name, loss in sorted(verdict.losses.items()))
    return f"fast path, auto is {verdict.chosen} (loss: {losses})"


def _plugins(paths: Paths) -> Iterator[Check]:
    from lora_chat.plugins.manager import Plugins
    from lora_chat.services import is_safe

    shelf = Plugins(paths, safe=is_safe(os.environ)).shelf()
    on = ", ".join(each.name for each in shelf.plugins if each.state == "on")
    off = ", ".join(each.name for each in shelf.plugins if each.state == "off")
    yield Check("plugins", "ok", f"on: {on or 'none'}; off: {off or 'none'}")
    for each in shelf.plugins:
        if each.state in ("changed", "switched off"):
            yield Check(f"plugin {each.name}", "note", f"{each.state}: {each.why}")
    for problem in (*shelf.problems, *shelf.gone):
        yield Check(f"plugin {problem.path.name}", "note", problem.reason)


def _adapters(paths: Paths) -> Iterator[Check]:
    from lora_chat.adapters.index import Index

    catalog = Index(paths).catalog()
    yield Check("adapters", "ok", ", ".join(adapter.name for adapter in catalog.adapters) or "none")
    for problem in catalog.problems:
        yield Check(f"adapter {Path(problem.path).name}", "problem", problem.reason)
    if sys.prefix == sys.base_prefix:
        yield Check("environment", "note", "not in a virtual environment")
