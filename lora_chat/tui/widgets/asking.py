"""What is worn, what is written, and how it could go on. Owns the prompt's row and its completions; never sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import TextArea

from lora_chat.tui.widgets.attached import Attached
from lora_chat.tui.widgets.badge import Badge
from lora_chat.tui.widgets.completions import Completions
from lora_chat.tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from lora_chat.chat.conversation import Conversation
    from lora_chat.sitting.attaching import Look
    from lora_chat.sitting.commands import Command
    from lora_chat.sitting.completion import Completion


class Asking(Vertical):
    """The badge, the prompt, what goes with it, and a list over the talk while a command or a name is half written."""

    DEFAULT_CSS = """
    Asking {
        height: auto;
        & > Horizontal { height: auto; padding: 0 1 0 0; }
    }
    """

    @dataclass
    class Sent(Message):
        """The person sends ``text``, which is no longer in the prompt: ``accept`` it or ``give_back``."""

        text: str

    @dataclass
    class NamesWanted(Message):
        """``half``, which begins with ``@``, is being written: it may be completed by ``offer_names``."""

        half: str

    @dataclass
    class FilesWanted(Message):
        """``text``, which names some, stands in the prompt: what goes with it is for ``show_files``."""

        text: str

    def __init__(self) -> None:
        super().__init__()
        self._half: str | None = None
        """The ``@name`` that is being written."""
        self._offered: str | None = None
        """The one that the list is for; None where it is for a command."""
        self._names: list[tuple[str, bool]] = []
        """Those that stand in the prompt."""
        self._was_closed = False
        """Whether the list was closed since the last letter: it comes back with the next one only."""
        self.adapters: Sequence[tuple[str, str]] = ()
        self.conversations: Sequence[tuple[str, str]] = ()
        self.presets: Sequence[tuple[str, str]] = ()
        self.bases: Sequence[tuple[str, str]] = ()
        self.formats: Sequence[tuple[str, str]] = ()
        """Names and what they are, for completion."""
        self.commands: Sequence[Command] = ()
        """What plugins add to the one table."""

    def compose(self) -> ComposeResult:
        """The list takes no room of its own."""
        yield Attached()
        yield Completions()
        with Horizontal():
            yield Badge()
            yield Prompt()

    def know_names(self, presets: Sequence[str], bases: Sequence[str], formats: Sequence[tuple[str, str]]) -> None:
        """For completion."""
        self.presets, self.bases = [(name, "") for name in presets], [(name, "") for name in bases]
        self.formats = formats
        self._offer_anew()

    def know_adapters(self, adapters: Sequence[tuple[str, str]]) -> None:
        """For completion."""
        self.adapters = adapters
        self._offer_anew()

    def know_commands(self, commands: Sequence[Command]) -> None:
        """For completion: those of plugins."""
        self.commands = commands
        self._offer_anew()

    def know_conversations(self, conversations: Sequence[Conversation]) -> None:
        """For completion: those that were put away can be opened too."""
        self.conversations = [(each.id, f"{each.title}{' (archived)' * each.archived}") for each in conversations]
        self._offer_anew()

    @property
    def prompt(self) -> Prompt:
        """Where one writes."""
        return self.query_one(Prompt)

    def wear(self, adapter: str, scale: float) -> None:
        """Show what is worn."""
        badge = self.query_one(Badge)
        badge.adapter, badge.scale = adapter, scale

    def fill(self, text: str) -> None:
        """Let the person go on writing ``text``; what stood there before up brings back."""
        if self.prompt.whole != text:
            self.prompt.remember(self.prompt.whole)
        self.prompt.write(text)
        self.prompt.focus()

    def go_on(self, text: str) -> None:
        """Letters that were typed elsewhere; a newline is Enter."""
        if text == "\n":
            self.prompt.action_submit()
            return
        self.prompt.insert(text)
        self.prompt.focus()

    def accept(self, text: str) -> None:
        """What was sent is taken: up brings it back."""
        self.prompt.remember(text)

    def put_away(self) -> bool:
        """Clear what was written, which up brings back; whether there was anything."""
        text = self.prompt.whole
        if not text:
            return False
        self.prompt.remember(text)
        self.prompt.write("")
        return True

    def give_back(self, text: str) -> None:
        """What could not be sent stands in the prompt again, before what was written since.

        A command does not, where something was: up brings it back.
        """
        since = self.prompt.whole
        if not since.strip():
            self.prompt.write(text)
        elif not text.startswith("/") or text.startswith("//"):
            self.prompt.write(f"{text}\n{since}")
        else:
            self.prompt.remember(text)

    def close_completions(self) -> bool:
        """Close the list; whether it was open."""
        was_open, self._was_closed = self.prompt.completing, True
        self._offer([])
        return was_open

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Completions, and what is said of files, follow what is written."""
        text, self._was_closed = event.text_area.text, False
        self._look_for_files(self.prompt.whole if "@" in text or self.prompt.folds.spans(text) else "")
        if self._half is not None:
            self.post_message(self.NamesWanted(self._half))
        else:
            self._offer(self._found(text))

    def _look_for_files(self, whole: str) -> None:
        """``whole`` is empty where no ``@`` is in it."""
        self._half, names = None, []
        if "@" in whole:
            from lora_chat.sitting.attaching import names_in, takes_files
            from lora_chat.sitting.filenames import begun

            if takes_files(whole):
                names, self._half = names_in(whole), begun(self.prompt.before_cursor)
        attached = self.query_one(Attached)
        attached.let_be(self._half)
        if names != self._names:
            self._names = names
            if names:
                self.post_message(self.FilesWanted(whole))
            else:
                attached.show([])

    def offer_names(self, half: str, found: Sequence[Completion]) -> None:
        """``half`` could become these; that is late where it has changed since."""
        if half == self._half:
            self._offer(list(found), half)

    def show_files(self, text: str, looks: Sequence[Look]) -> None:
        """These go with ``text``; that is late where other names stand in the prompt by now."""
        from lora_chat.sitting.attaching import names_in

        if names_in(text) == self._names:
            self.query_one(Attached).show(looks)

    def _found(self, text: str) -> list[Completion]:
        if not text.startswith("/"):
            return []
        from lora_chat.sitting.completion import Names, complete

        return complete(
            text,
            Names(self.adapters, self.conversations, self.presets, self.bases, self.commands, self.formats),
        )

    def _offer_anew(self) -> None:
        """What can be named is known later than the first letters are written, and changes: the list follows that."""
        if self._half is None and not self._was_closed:
            found = self._found(self.prompt.text)
            if found != self.query_one(Completions).choices:
                self._offer(found, stays=True)

    def _offer(self, found: list[Completion], half: str | None = None, *, stays: bool = False) -> None:
        self._offered = half
        self.query_one(Completions).offer(found, stays=stays)
        self.prompt.completing = bool(found)

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        """Enter."""
        self.post_message(self.Sent(event.text))

    def on_prompt_completion_moved(self, event: Prompt.CompletionMoved) -> None:
        """Up and down."""
        self.query_one(Completions).move(event.step)

    def on_prompt_completion_taken(self, event: Prompt.CompletionTaken) -> None:
        """Tab takes it; Enter sends it as well where it is whole."""
        chosen = self.query_one(Completions).chosen
        if chosen is None or self._offered != self._half:  # letters that came in one burst with Enter went on
            if event.send:
                self.prompt.action_submit()
        elif self._half is not None:
            self._offer([])
            self.prompt.complete(self._half, chosen.line)
        elif event.send and chosen.whole:
            self._offer([])
            self.prompt.write("")
            self.post_message(self.Sent(self.prompt.folds.whole(chosen.line)))
        else:
            self.prompt.write(chosen.line)
