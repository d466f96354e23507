"""What a command of a plugin registers, is called with and gives back. Owns these public types; never runs one.

Raised by ``add``: ValueError, for a name or an argument that is none, or a name that stands twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lora_chat.plugins.registrars import SavedConversation, _checked
from lora_chat.text import clean_line

LONGEST_ARGUMENTS = 24
"""Characters of what the help shows behind a command."""


@dataclass(frozen=True)
class CommandCall:
    """One call of a command."""

    text: str
    """What was typed behind it, without white space around; empty where nothing was."""
    conversation: SavedConversation
    """The visible branch of the open one, as far as it is written; without id and messages where it has not begun."""
    base: str
    """The name of the base model that answers."""
    adapter: str | None = None
    """The name of what is worn, or the shares of a mixture; None on the base alone."""


@dataclass(frozen=True)
class Write:
    """A text that stands in the prompt, to be changed and sent by the person; never sent by itself."""

    text: str


@dataclass(frozen=True)
class Say:
    """A text that is sent as the person's message and answered. A file that it names does not go with it."""

    text: str


Piece = str | Write | Say
"""Text is shown; one Write or Say may be among it, and is done once the command has ended well."""
RunCommand = Callable[[CommandCall], Piece | Iterable[Piece] | None]
"""Returns a piece, or yields them. Has 20 s from one to the next; the person can stop it at any time."""


@dataclass(frozen=True)
class OfferedCommand:
    """One command that can be typed."""

    name: str
    run: RunCommand
    help: str
    arguments: str


@dataclass
class CommandRegistrar:
    """Takes commands."""

    added: dict[str, OfferedCommand] = field(default_factory=dict)

    def add(self, name: str, run: RunCommand, help: str = "", arguments: str = "") -> None:
        """``name`` is what follows the slash; ``help`` says what it does in a few words.

        ``arguments`` is what the help shows behind it: ``TEXT``, or ``[TEXT]`` where it may be left out. Without it the
        command takes nothing.
        """
        if not isinstance(arguments, str) or clean_line(arguments, LONGEST_ARGUMENTS) != arguments:
            raise ValueError(f"the arguments of the command {name} must be a word or two such as [TEXT]")
        self.added[name] = OfferedCommand(_checked(name, self.added), run, help, arguments)
