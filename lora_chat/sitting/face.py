"""What a sitting shows itself through. Owns the protocol; the line chat and the terminal UI implement it.

Every method may be called from any thread but the one that draws, and may wait for the person.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from lora_chat.session import TurnEvent

if TYPE_CHECKING:
    from lora_chat.adapters.registry import Catalog
    from lora_chat.chat.conversation import Message
    from lora_chat.chat.search import Hit
    from lora_chat.models.entry import CatalogEntry
    from lora_chat.models.installed import InstalledBase
    from lora_chat.sitting.bases import Choices
    from lora_chat.sitting.checking import Checking
    from lora_chat.sitting.columns import Comparison
    from lora_chat.sitting.plan import Plan
    from lora_chat.sitting.plugin_commands import Errand
    from lora_chat.sitting.training import Training
    from lora_chat.training.report.record import Record

Turn = Callable[[threading.Event], Iterator[TurnEvent]]
"""Makes one answer; the event stops it."""


Facts = Sequence[tuple[str, str]]
"""Each with its name."""


def leaving(name: str, waiting: Sequence[str]) -> str:
    """What is asked when the person leaves while one is trained and others wait."""
    others = f", {' and '.join(waiting)} wait{'s' if len(waiting) == 1 else ''} for it" if waiting else ""
    it = "them" if waiting else "it"
    return (
        f"{name} is being trained{others}. Pause {it} until the next start, finish {it} without this window, or stay?"
    )


WAYS_OUT = ("pause", "finish", "stay")
"""What can be done with a training when the person leaves; the last one changes nothing."""


class Asker(Protocol):
    """Whoever can ask."""

    def confirm(self, question: str, *, loses: bool = False, about: Facts = ()) -> bool:
        """Ask, in sight of what it is ``about``; where something would be lost, doing nothing is the easier answer."""


class Presenter(Asker, Protocol):
    """Whoever can show something too."""

    def details(self, title: str, rows: Facts) -> None:
        """Show facts."""


class Face(Presenter, Protocol):
    """How a sitting reaches the person."""

    def note(self, text: str) -> None:
        """Say in one sentence what was done."""

    def opened(self) -> None:
        """Another conversation is open: show it."""

    def changed(self) -> None:
        """The open conversation, its branch or what it wears changed: draw it anew."""

    def counted(self, tokens: int) -> None:
        """The next prompt begins with so many tokens."""

    def copy(self, text: str) -> None:
        """Put ``text`` on the person's clipboard, and say by which way."""

    def play(self, turn: Turn) -> None:
        """Make an answer and show it as it comes; may return before it has ended."""

    def work(self, errand: Errand) -> None:
        """Have a plugin's command run, show what it gives and settle it; may return before it has ended.

        Raises:
            RefusedError: another one runs; where it is waited for, also what keeps it from ending well.
        """

    def plugins_changed(self) -> None:
        """A plugin was enabled, or does not run any more: what shows their commands looks again."""

    def write(self, text: str) -> None:
        """Let the person go on writing ``text``, before what they have written since."""

    def show_columns(self, comparison: Comparison) -> None:
        """Have one question answered in columns and show them as they come; may return before they have ended."""

    def warn(self, text: str) -> None:
        """Say what became of what was worn, or of the base; it stays in sight until it is put away or out of date.

        Empty is for that.
        """

    def check_idle(self) -> None:
        """Refuse what would take the base away from an answer.

        Raises:
            RefusedError: one is being made.
        """

    def base_leaves(self) -> None:
        """The base is put away in a moment: what is asked of it ends, and what it still says is nobody's."""

    def base_changed(self, base: InstalledBase) -> None:
        """Another base answers from now on, and is not loaded yet."""

    def show_adapters(self, catalog: Catalog) -> None:
        """Show what is installed, and what is broken."""

    def show_bases(self, choices: Choices) -> None:
        """Show the bases of this machine and of the catalog."""

    def pull(self, wish: str, entry: CatalogEntry) -> None:
        """Bring onto this machine what ``wish`` means, which is ``entry``; may return before it has ended.

        Raises:
            RefusedError: another one comes.
            LoraChatError: where it is waited for, whatever keeps it from coming.
        """

    def coming(self) -> str:
        """The name of the base that is being brought; empty where none is."""

    def bases_changed(self) -> None:
        """Another base is here, or one is not any more: what shows them looks again."""

    def choose_conversation(self, archived: bool = False) -> None:
        """Show the saved conversations, or those that were put away."""

    def found(self, text: str, hits: Sequence[Hit]) -> None:
        """Show where ``text`` was said."""

    def look_at(self, message: Message, text: str) -> None:
        """Bring a message of the open conversation into view, with the words of ``text`` marked in it."""

    def write_answer(self, message: Message) -> None:
        """Let the person write the answer they wanted in place of ``message``."""

    def write_question(self, question: Message) -> None:
        """Let the person write ``question`` in other words, which is then asked in its place."""

    def offer(self, plan: Plan) -> None:
        """Show what would be trained; the person, or the face for them, then starts it."""

    def trains(self, training: Training) -> None:
        """A training began, got further, or ended."""

    def show_training(self, training: Training) -> None:
        """The person asked how far it is."""

    def show_checks(self, checking: Checking) -> None:
        """Ask an adapter's checks and show what comes of each."""

    def show_report(self, record: Record, *, worn: bool) -> None:
        """Show again what a training did; ``worn``: its version is the one that is worn now."""

    def help(self) -> None:
        """Show every command."""

    def keys(self) -> None:
        """Show every key of the window."""

    def theme(self, name: str) -> None:
        """Use other colours, where there are any."""

    def tour(self) -> None:
        """Begin the guided tour of the loop, where there is one."""

    def leave(self) -> None:
        """End the sitting."""
