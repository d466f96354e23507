"""What the person writes beside the talk. Owns what stands in the prompt where, and when it is kept; never sends."""

from __future__ import annotations

import time

from textual.widgets import TextArea

from lora_chat.tui import messages as news
from lora_chat.tui.screens.touring import Touring
from lora_chat.tui.widgets.asking import Asking

PAUSE_S = 1.0
"""So long nothing is typed, and what stands in the prompt is written to the disk."""

SOON_S = 3.0
"""So long after a key or a command another conversation that opens is taken for what that asked for."""

_LONGEST = 10
"""Such times after which it is written although somebody types on."""


class Keeping(Touring):
    """Hears what was kept, and what is typed."""

    _writes_in: str | None = None
    """The conversation that the prompt belongs to; the one not begun yet is empty, and None until the home is open."""
    _changed = False
    """Whether something was typed since this was last looked at."""
    _times = 0
    _left = ""
    """What stood in the prompt when the person moved on, and when that was."""
    _left_at = float("-inf")
    _waits = ("", "")
    """A conversation, and what is to stand in the prompt once it is open."""

    def on_mount(self) -> None:
        """At a pause, not at every key."""
        self.set_interval(PAUSE_S, self._look_for_a_pause)

    def _look_for_a_pause(self) -> None:
        self._times += 1
        if self._changed and self._times < _LONGEST:
            self._changed = False
            return
        self._times, self._changed = 0, False
        self.bridge.drafts.write()

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Held at once, written at a pause; what the tour writes is nobody's."""
        if self._writes_in is not None and self.tour.step is None:
            self._changed = True
            self.bridge.drafts.note(self._writes_in, self.asking.prompt.unsent)

    def on_written_seen(self, event: news.WrittenSeen) -> None:
        """Up brings back what was sent; what was not sent stands in the prompt."""
        self._writes_in = ""
        self.asking.prompt.know(event.sent)
        self._put_before(event.draft)

    def on_asking_sent(self, event: Asking.Sent) -> None:
        """A command may open another conversation: what is typed from now on is of that one."""
        self._moving_on("")

    def action_new(self) -> None:
        """What is typed after the key is of the new one."""
        self._moving_on(self.asking.prompt.unsent)
        super().action_new()

    def _write_in(self, conversation: str, text: str) -> None:
        """Its own draft comes with it, and would stand in the place of ``text``."""
        if self._writes_in in (None, conversation):
            super()._write_in(conversation, text)
        else:
            self._waits = (conversation, text)

    def _moving_on(self, unsent: str) -> None:
        self._left, self._left_at = unsent, time.monotonic()

    def on_draft_seen(self, event: news.DraftSeen) -> None:
        """Another conversation has another draft; one that begins or ends takes with it what is being written."""
        left, self._writes_in = self._writes_in, event.conversation
        if left is None or left == event.conversation or self.tour.step is not None:
            return
        if event.another:
            mine, since = self._parted(self.asking.prompt.unsent)
            self.bridge.drafts.note(left, mine)
            self.asking.prompt.turn_to(event.text + since)
            if self._waits[1] and self._waits[0] == event.conversation:
                self.asking.fill(self._waits[1])
            self._waits = ("", "")
        elif not left:  # its first message was sent
            self.bridge.drafts.note(left, "")
        else:  # deleted: what still stands in the prompt is of the next one
            self._put_before(event.text)
        self.bridge.drafts.note(event.conversation, self.asking.prompt.unsent)
        self.bridge.drafts.write()

    def _parted(self, unsent: str) -> tuple[str, str]:
        """What of ``unsent`` was there when the person moved on, and what was typed since."""
        if time.monotonic() - self._left_at < SOON_S and unsent.startswith(self._left):
            return self._left, unsent[len(self._left) :]
        return unsent, ""

    def _put_before(self, draft: str) -> None:
        if draft.strip():
            self.asking.give_back(draft)
