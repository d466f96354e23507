"""Where the person writes. Owns the text, its keys and what was written before; never sends or runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from lora_chat.language import tr
from lora_chat.tui.widgets.folding import Folding
from lora_chat.tui.widgets.recall import Recall

TALLEST = 8
"""Rows it grows to; more scrolls."""

LONGEST = 200_000
"""Characters it holds; a paste beyond is refused whole. At this length a key takes 0.1 s, at 5 MB the window stood for
14 s (measured), and no small model reads that much."""


class Prompt(Folding):
    """A text area in which Enter sends, and that knows what was written before."""

    DEFAULT_CSS = """
    Prompt {
        height: auto;
        max-height: 8;
        border: none;
        padding: 0;
        background: $background;
        color: $foreground;
        scrollbar-size-vertical: 1;
        &:focus { border: none; background: $background; background-tint: 0%; }
        & .text-area--cursor-line { background: transparent; }
        & .text-area--placeholder { color: $text-muted; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "send", id="prompt.send"),
        Binding("ctrl+j,shift+enter,alt+enter", "newline", "new line", id="prompt.newline", show=False),
        Binding("up", "older", "earlier prompts", id="prompt.older", show=False),
        Binding("down", "newer", "later prompts", id="prompt.newer", show=False),
        # The text area would keep these for itself; what they do is the screen's.
        Binding("ctrl+e", "screen.edit", "edit", id="chat.edit"),
        Binding("ctrl+f", "screen.search", "search", id="chat.search", show=False),
        Binding("ctrl+o,f5", "unfold", "unfold", id="prompt.unfold", show=False),
        Binding("tab", "complete", "complete", id="prompt.complete", show=False),
    ]

    @dataclass
    class Submitted(Message):
        """The person sends what was written; it is no longer in the prompt."""

        text: str

    @dataclass
    class CompletionMoved(Message):
        """Another completion is looked at."""

        step: int

    @dataclass
    class CompletionTaken(Message):
        """The completion that is looked at is taken; ``send`` where the line should be sent if it is whole."""

        send: bool

    def __init__(self) -> None:
        super().__init__(
            placeholder=tr("Type a message, / for commands"), compact=True, highlight_cursor_line=False, id="prompt"
        )
        self.completing = False
        """Whether completions are open: then up, down, tab and Enter are theirs."""
        self._recall = Recall()

    async def _on_key(self, event: events.Key) -> None:
        """Its own keys, in order with the letters: a priority binding would send before fast letters arrived."""
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            if binding.id is not None:  # the text area's own have none
                event.stop()
                event.prevent_default()
                await self.run_action(binding.action)
                return

    async def _on_paste(self, event: events.Paste) -> None:
        """Taken, folded where it is long, unless it is too much."""
        event.stop()
        event.prevent_default()
        if len(event.text) + len(self.whole) > LONGEST:
            said = f"That is {len(event.text):,} characters: a message takes up to {LONGEST:,}, so nothing was pasted."
            self.notify(tr(said), severity="error", markup=False, timeout=10)
        else:
            self.put_in(event.text)

    def action_paste(self) -> None:
        """What was copied here, as what the terminal pastes."""
        self.post_message(events.Paste(self.app.clipboard))

    def remember(self, text: str) -> None:
        """Let up bring ``text`` back."""
        self._recall.add(text)

    @property
    def unsent(self) -> str:
        """What the person would miss: what is written, or was before they looked up an earlier prompt."""
        return self._recall.unsent(self.whole)

    def turn_to(self, text: str) -> None:
        """Put ``text`` in, of another conversation; what else is half written up brings back."""
        self._recall.add("")
        self.write(text)

    def know(self, earlier: Sequence[str]) -> None:
        """Let up bring back what was sent in earlier sessions, newest first."""
        self._recall.know(earlier)

    def action_submit(self) -> None:
        """Send, or take the completion."""
        if self.completing:
            self.post_message(self.CompletionTaken(send=True))
        else:
            # Taken out at once: letters that come in one burst with Enter belong to the next message.
            self.post_message(self.Submitted(self.whole))
            self.write("")

    @property
    def before_cursor(self) -> str:
        """The line that the cursor is in, up to it; empty where a word goes on behind it."""
        row, column = self.cursor_location
        line = self.document[row]
        return line[:column] if self.selection.is_empty and line[column : column + 1].strip() == "" else ""

    def complete(self, half: str, whole: str) -> None:
        """Put ``whole`` in the place of ``half``, which stands before the cursor."""
        row, column = self.cursor_location
        behind = self.document[row][column : column + 1]
        end = (row, column + 1) if behind == " " and whole.endswith(" ") else (row, column)
        if result := self._replace_via_keyboard(whole, (row, column - len(half)), end):
            self.move_cursor(result.end_location)

    def action_newline(self) -> None:
        """Begin a new line."""
        self.insert("\n")

    def action_complete(self) -> None:
        """Take the completion; without one, leave for what comes next."""
        if self.completing:
            self.post_message(self.CompletionTaken(send=False))
        else:
            self.screen.focus_next()

    def action_older(self) -> None:
        """Up: an earlier completion, line or prompt."""
        if self.completing:
            self.post_message(self.CompletionMoved(-1))
        elif not self.cursor_at_first_line:
            self.action_cursor_up()
        elif (older := self._recall.older(self.whole)) is not None:
            self.write(older)

    def action_newer(self) -> None:
        """Down: a later completion, line or prompt."""
        if self.completing:
            self.post_message(self.CompletionMoved(1))
        elif not self.cursor_at_last_line:
            self.action_cursor_down()
        elif (newer := self._recall.newer(self.whole)) is not None:
            self.write(newer)
