"""Sentences over what is shown. Owns how long each stands and where, so that none hides what was said last; never what
they say.

In the talk they stand below its end, where nothing is, while there is room for them, else at its top. A sentence
belongs to the screen that it was told on: where another opens it waits, with the time it had left, for that to close.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.app import App
from textual.geometry import Region, Spacing
from textual.notifications import Notification, Notify, SeverityLevel
from textual.screen import Screen
from textual.widgets._toast import Toast, ToastHolder, ToastRack

from lora_chat.language import tr

if TYPE_CHECKING:
    from lora_chat.tui.screens.chat import ChatScreen

READ_PER_S = 15
"""Cells of a sentence that are read in a second, at ease."""
TOLD = 3
"""Sentences that stand over the talk at once."""
LAST = 3
"""Lines at the end of the talk that no sentence hides."""
AGAIN_S = 4.0
"""At least as long, in seconds, stands what had to wait below another screen."""

_AT_THE_TOP = Spacing(2, 1, 0, 0)
"""Below the title and its rule."""


class Notices(App[None]):
    """An app that tells sentences."""

    chat: ChatScreen

    def __init__(self, **named: object) -> None:
        super().__init__(**named)  # type: ignore[arg-type]
        self._told_on: dict[str, Screen[object]] = {}
        """By the identity of what is told."""
        self._waiting: dict[Screen[object], list[Notification]] = {}
        """What was told on a screen that another one covers."""

    def on_ready(self) -> None:
        """From now on there are screens that open, and a talk that grows."""
        self.screen_change_signal.subscribe(self, self._screen_changed, immediate=True)
        self.chat.screen_layout_refresh_signal.subscribe(self.chat, lambda _: self._place())

    def tell(self, text: str, *, refused: bool = False, lasting: bool = False) -> None:
        """Say one sentence, as long as it takes to read; a refusal, or what nobody asked for, longer."""
        self.say(tr(text), refused=refused, lasting=lasting)

    def say(self, text: str, *, refused: bool = False, lasting: bool = False) -> None:
        """The same of what is in the person's language, or in nobody's but its own."""
        seconds = 20 if lasting else 10 if refused else min(max(4, cell_len(text) / READ_PER_S), 10)
        self.notify(text, severity="error" if refused else "information", markup=False, timeout=seconds)
        self.call_later(self._keep_few, TOLD)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """As Textual's; it is of the screen that is seen now."""
        seconds = self.NOTIFICATION_TIMEOUT if timeout is None else timeout
        notification = Notification(message, title, severity, seconds, markup=markup)
        if self._screen_stack:
            self._told_on[notification.identity] = self.screen
        self.post_message(Notify(notification))

    def on_notify(self, event: Notify) -> None:
        """One whose screen was covered before it came waits too."""
        screen = self._told_on.get(event.notification.identity)
        if screen is not None and screen is not self.screen and screen in self._screen_stack:
            self._waiting.setdefault(screen, []).append(event.notification)
            event.prevent_default()

    def clear_notifications(self) -> None:
        """None stands any longer; those that wait below another screen do."""
        super().clear_notifications()
        self._told_on.clear()

    def _screen_changed(self, now: Screen[object]) -> None:
        """What stood over the screen before waits; what waited for ``now``, or for a screen that is gone, stands."""
        covered = [screen for screen in self.screen_stack if screen is not now]
        for each in list(self._notifications):
            screen = self._told_on.get(each.identity)
            if screen is not None and screen in covered:
                each.timeout = max(each.time_left, AGAIN_S)
                self._waiting.setdefault(screen, []).append(each)
                self._unnotify(each, refresh=False)
        for screen in covered:
            screen.query(ToastHolder).remove()
        for screen in [screen for screen in self._waiting if screen not in covered]:
            for one in self._waiting.pop(screen):
                self.notify(one.message, title=one.title, severity=one.severity, timeout=one.timeout, markup=one.markup)
        self.call_later(self._keep_few, TOLD)

    # Where they stand in the talk

    def _place(self) -> None:
        """Called after each layout of the talk's screen; what is as it should be is left alone."""
        rack = next((each for each in self.chat.children if isinstance(each, ToastRack) and each.display), None)
        if rack is None or not self.chat.is_current or not self.chat.query("Transcript"):
            return
        talk = self.chat.talk
        above, below = self._room(talk.region)  # the rack itself is hidden and has no size
        needed = sum(toast.region.height + toast.styles.margin.height for toast in rack.query(Toast))
        is_low = needed <= below
        if not is_low and needed > above and len(self._notifications) > 1:
            self._keep_few(len(self._notifications) - 1)
        margin = Spacing(0, 1, self.chat.size.height - talk.region.bottom, 0) if is_low else _AT_THE_TOP
        if rack.styles.margin != margin:
            rack.styles.dock = "bottom" if is_low else "top"
            rack.styles.align = ("right", "bottom" if is_low else "top")
            rack.styles.margin = margin

    def _room(self, talk: Region) -> tuple[int, int]:
        """Rows above the last lines of what was said, and below its end."""
        views = self.chat.talk.views
        if not views:
            return talk.height, 0
        end = min(views[-1].region.bottom, talk.bottom)
        below = 0 if self.chat.asking.prompt.completing else talk.bottom - end  # completions stand there
        return end - talk.y - LAST, below

    def _keep_few(self, few: int) -> None:
        """More sentences than ``few`` would hide the talk: the oldest go."""
        old = list(self._notifications)[:-few]
        for each in old:
            self._unnotify(each, refresh=False)
        for holder in self.screen.query(ToastHolder):  # by itself Textual takes a sentence out and leaves its place
            kept = [toast for toast in holder.query(Toast) if toast._notification not in old]
            if not kept:
                holder.remove()
