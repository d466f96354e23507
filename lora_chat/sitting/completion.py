"""What a half-written command could become. Owns the matching; never draws, reads a key or touches the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lora_chat.chat.conversation import Rating
from lora_chat.config import THEMES
from lora_chat.models.catalog import CATALOG
from lora_chat.sitting.carrying import FORMATS
from lora_chat.sitting.columns import BASE, TEMPERATURES
from lora_chat.sitting.commands import COMMANDS, Command
from lora_chat.sitting.copying import WISHES
from lora_chat.sitting.sampling import SETTINGS

MOST = 8
"""As many as are offered at once."""

_TAILS = {"settings": " ", "shares": "="}
"""What must follow a completed argument."""

_THEIRS = ("adapters", "shares", "conversations", "models")
"""What is said of these is theirs."""


@dataclass(frozen=True)
class Completion:
    """One way to go on."""

    line: str
    """What the line becomes."""
    label: str
    help: str
    whole: bool
    """Whether the line can be sent as it is then."""
    is_ours: bool = True
    """Whether ``help`` is the program's own word; else an adapter or a person wrote it."""


@dataclass(frozen=True)
class Names:
    """What arguments can name: (name, what it is)."""

    adapters: Sequence[tuple[str, str]] = ()
    conversations: Sequence[tuple[str, str]] = ()
    presets: Sequence[tuple[str, str]] = ()
    bases: Sequence[tuple[str, str]] = ()
    commands: Sequence[Command] = ()
    """What plugins add to the one table."""
    formats: Sequence[tuple[str, str]] = ()
    """What plugins write, beside our own."""


def complete(line: str, names: Names) -> list[Completion]:
    """The ways to go on from ``line``, best first; none for a message or a line that is complete."""
    if not line.startswith("/") or line.startswith("//") or "\n" in line:
        return []
    found = [*_commands(line, names), *_arguments(line, names)]
    if any(each.line == line and each.whole for each in found):
        return []  # Enter must wear shop where shop is written, also beside a shop-2
    return found[:MOST]


def _commands(line: str, names: Names) -> Iterator[Completion]:
    """Those whose words begin so, then those that have such a word."""
    typed = line[1:].lower()
    known = [*COMMANDS, *names.commands]
    first = [command for command in known if command.words.startswith(typed)]
    later = [command for command in known if f" {typed}" in f" {command.words}" and command not in first]
    for command in first + (later if typed and " " not in typed else []):
        tail = " " if command.needs_argument else ""
        yield Completion(f"/{command.words}{tail}", command.usage, command.help, not command.needs_argument)


def _arguments(line: str, names: Names) -> Iterator[Completion]:
    """What the argument of the command that ``line`` begins with could be."""
    for command in COMMANDS:
        beginning = f"/{command.words} "
        if command.completes == "columns" and line.lower().startswith(beginning):
            yield from _columns(line, beginning, names)
        elif command.completes and line.lower().startswith(beginning):
            if command.completes == "shares":  # each share is completed by itself
                beginning = line[: line.rfind(" ") + 1]
            typed = line[len(beginning) :].strip().lower()
            tail = _TAILS.get(command.completes, "")
            by_words = command.completes != "copies"  # a number is a wish there, and is no word of what it says
            for name, what in _matching(typed, _choices(command, names), by_words=by_words):
                is_ours = command.completes not in _THEIRS and (name, what) not in names.formats
                yield Completion(beginning + name + tail, name, what, not tail, is_ours)


def _columns(line: str, beginning: str, names: Names) -> Iterator[Completion]:
    """What the last word could be: each stands once. Before a letter of it Enter takes it, and does not send yet."""
    before = line[: line.rfind(" ") + 1]
    typed, said = line[len(before) :].lower(), before[len(beginning) :].split()
    choices = [(BASE, "without an adapter"), *((f"@{name}", what) for name, what in names.adapters)]
    if len(said) <= 1:
        choices.append((TEMPERATURES, "one adapter: greedy, 0.1, 0.7, 1.0"))
    left = [(name, what) for name, what in choices if name not in said]
    plain = [(name, what) for name, what in left if typed and name.removeprefix("@").lower().startswith(typed)]
    for name, what in plain or _matching(typed, left):
        yield Completion(before + name, name, what, bool(typed), not name.startswith("@"))


def _matching(typed: str, choices: Sequence[tuple[str, str]], *, by_words: bool = True) -> Iterator[tuple[str, str]]:
    """Those whose name begins so; where none does, those that say it of themselves, if ``by_words``."""
    named = [each for each in choices if each[0].lower().startswith(typed)]
    yield from named or [each for each in choices if by_words and typed in each[1].lower()]


def _choices(command: Command, names: Names) -> Sequence[tuple[str, str]]:
    match command.completes:
        case "adapters" | "shares":
            return names.adapters
        case "presets":
            return names.presets
        case "bases":
            return names.bases
        case "models":
            here = {name for name, _ in names.bases}
            return [*names.bases, *((each.name, each.description) for each in CATALOG if each.name not in here)]
        case "conversations":
            return names.conversations
        case "settings":
            return [(name, "a number") for name in SETTINGS]
        case "ratings":
            return [(rating.value, "") for rating in Rating]
        case "copies":
            return WISHES
        case "formats":
            return [*FORMATS, *names.formats]
        case "themes":
            return [(name, "") for name in THEMES]
        case _:
            return ()
