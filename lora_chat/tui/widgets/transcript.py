"""The visible branch of a conversation. Owns which messages are mounted, which is selected, and the scrolling.

Only the newest messages are widgets; a line above them says how many are earlier and mounts them when asked. What is
shown again and has not changed stays as it is, so that a rating or a finished answer moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message as TextualMessage

from lora_chat.chat.conversation import Message, Rating
from lora_chat.tui.widgets.blank import Blank
from lora_chat.tui.widgets.branch import in_place_of, until
from lora_chat.tui.widgets.earlier import Earlier
from lora_chat.tui.widgets.follows import Follows
from lora_chat.tui.widgets.letters import Letters
from lora_chat.tui.widgets.looking import show_words
from lora_chat.tui.widgets.message import LEAST_LINES, MessageView, Shown

MOUNTED = 40
"""Messages that are widgets at first, and how many more come each time earlier ones are asked for."""


class Transcript(Letters, can_focus=True, inherit_bindings=False):
    """The messages from the first to the newest, with one of them selected while it has the focus."""

    DEFAULT_CSS = """
    Transcript {
        align-horizontal: center;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
        & > MessageView, & > Earlier { max-width: 104; }
        &.-empty { align-vertical: middle; }
        &.-empty > Earlier { display: none; }
        & > Blank { display: none; }
        &.-empty > Blank { display: block; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "edit", id="transcript.edit"),
        Binding("g", "rate('good')", "good", id="transcript.good"),
        Binding("b", "rate('bad')", "bad", id="transcript.bad"),
        Binding("r", "retry", "retry", id="transcript.retry"),
        Binding("m", "go_on", "more", tooltip="go on where it ends", id="transcript.more"),
        Binding("c", "copy", "copy", id="transcript.copy"),
        *(Binding(f"{n}", f"copy_code({n})", "code", n == 1, "1…9", id=f"transcript.code-{n}") for n in range(1, 10)),
        Binding("t", "thought", "thought", id="transcript.thought"),
        Binding("ctrl+o,f5", "unfold", "unfold", tooltip="unfold the question", id="transcript.unfold"),
        Binding("left", "sibling(-1)", "others", key_display="←→", tooltip="before", id="transcript.other-before"),
        Binding("right", "sibling(1)", "others", show=False, tooltip="after", id="transcript.other-after"),
        Binding("d", "delete", "delete", id="transcript.delete"),
        Binding("u", "undo", "undo", show=False, id="transcript.undo"),
        Binding("up", "select(-1)", "message before", show=False, id="transcript.before"),
        Binding("down", "select(1)", "message after", show=False, id="transcript.after"),
        Binding("pageup", "page_up", "page up", show=False, id="transcript.page-up"),
        Binding("pagedown", "page_down", "page down", show=False, id="transcript.page-down"),
        Binding("home", "scroll_home", "top", show=False, id="transcript.top"),
        Binding("end", "scroll_end", "end", show=False, id="transcript.end"),
        Binding("escape,enter", "leave", "back to the prompt", show=False, id="transcript.leave"),
    ]

    @dataclass
    class Wanted(TextualMessage):
        """The person wants something done with a message."""

        message: Message

    @dataclass
    class EditWanted(Wanted):
        """Another text in its place."""

    @dataclass
    class RatingWanted(Wanted):
        """A rating; None takes it back."""

        rating: Rating | None

    @dataclass
    class RetryWanted(Wanted):
        """Another answer."""

    @dataclass
    class MoreWanted(Wanted):
        """It goes on where it ends."""

    @dataclass
    class CopyWanted(Wanted):
        """On the clipboard."""

    @dataclass
    class DeleteWanted(Wanted):
        """Gone, with what followed it."""

    class UndoWanted(TextualMessage):
        """What was deleted last back again."""

    @dataclass
    class SiblingWanted(Wanted):
        """The answer before (-1) or after (1) it."""

        step: int

    @dataclass
    class Looked(TextualMessage):
        """Another message is looked at; None while none is chosen."""

        message: Message | None

    @dataclass
    class Wrote(TextualMessage):
        """The person began to write: it is the prompt's; a newline sends it."""

        text: str

    class Left(TextualMessage):
        """The person is done here; the prompt is next."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._branch: list[Shown] = []
        self._most = MOUNTED
        self._selected: int | None = None
        self._wanted: int | None = None  # selected with the next focus
        self._earlier = Earlier()
        self._blank = Blank()

    def compose(self) -> ComposeResult:
        """What stands above the messages, and what stands instead of them."""
        yield self._earlier
        yield self._blank

    def on_mount(self) -> None:
        """Nothing is shown yet."""
        self.add_class("-empty")

    # What is shown

    def set_empty(self, lines: Sequence[tuple[str, str]]) -> None:
        """Where there is no message yet, show what to press or type and what it does."""
        self._blank.show(lines)

    def set_refusal(self, why: str) -> None:
        """Where there can be no message, show why."""
        self._blank.refuse(why)

    async def show(self, shown: Sequence[Shown], *, keep_place: bool = False) -> None:
        """Show a branch; from its end on, unless the place is to be kept: first what fills the screen, then more."""
        if not keep_place:
            self._most = min(MOUNTED, self.size.height // LEAST_LINES + 1)
            self.follow()
        await self._mount(list(shown))
        if not keep_place:
            self.call_after_refresh(self.post_message, Earlier.Wanted())

    async def begin(self, prompt: Shown | None, reply: Shown) -> None:
        """An answer begins, to a new prompt or to one that is shown already; what stood after that goes."""
        before = prompt.message.parent if prompt else reply.message.parent
        begun = [shown for shown in (prompt, reply) if shown]
        fresh = {shown.message.id for shown in begun}
        kept = [shown for shown in until(self._branch, before) if shown.message.id not in fresh]
        self._most = MOUNTED
        self.follow()
        await self._mount([*kept, *begun])

    def wait_for(self, message_id: int, reason: str) -> None:
        """Say what an answer without a word yet is waiting for."""
        if view := self._view(message_id):
            view.wait_for(reason)

    def grow(self, message_id: int, text: str) -> None:
        """Append ``text`` to an answer; nothing happens where it is not shown."""
        if view := self._view(message_id):
            view.grow(text)

    def end(self, shown: Shown) -> None:
        """Put in the last form of an answer; nothing happens where it is not shown."""
        self._branch = [shown if each.message.id == shown.message.id else each for each in self._branch]
        if view := self._view(shown.message.id):
            view.end(shown)
            self.refresh_bindings()

    @property
    def views(self) -> list[MessageView]:
        """What is mounted, oldest first."""
        return [child for child in self.children if isinstance(child, MessageView)]

    def _view(self, message_id: int | None) -> MessageView | None:
        return next((view for view in self.views if view.shown.message.id == message_id), None)

    async def _mount(self, branch: list[Shown]) -> None:
        """Make the widgets those of the end of ``branch``, touching only what differs."""
        async with self.lock:
            if not self.is_attached:
                return  # the window is being left: nothing can be mounted in it
            chosen = in_place_of(self._selected, self._branch, branch)
            self._branch = branch
            window = branch[-self._most :]
            self._earlier.show(len(branch) - len(window))
            self.set_class(not branch, "-empty")
            with self.app.batch_update():
                await self._reconcile(window)
            self._choose(chosen)
            self.refresh(layout=True)  # where nothing was mounted, the end may still have to be gone to

    async def _reconcile(self, window: list[Shown]) -> None:
        ids = {shown.message.id for shown in window}
        kept = {view.shown.message.id: view for view in self.views if view.shown.message.id in ids}
        await self.remove_children([view for view in self.views if view.shown.message.id not in ids])
        fresh: list[MessageView] = []
        for shown in window:
            if view := kept.get(shown.message.id):
                if fresh:
                    await self.mount(*fresh, before=view)
                    fresh = []
                view.show(shown)
            else:
                fresh.append(MessageView(shown))
        if fresh:
            await self.mount(*fresh)

    # Earlier messages

    @on(Earlier.Wanted)
    async def _show_earlier(self, event: Earlier.Wanted) -> None:
        """Mount earlier messages above, and keep the distance to the end, so that nothing moves."""
        event.stop()
        if len(self._branch) <= self._most:
            return
        self._most = (self._most // MOUNTED + 1) * MOUNTED
        self.hold()
        await self._mount(self._branch)

    def on_follows_reached_top(self, event: Follows.ReachedTop) -> None:
        """Arriving at the top is a wish for what is above it."""
        event.stop()
        self.post_message(Earlier.Wanted())

    # Selection

    @property
    def selected(self) -> Shown | None:
        """The selected message, while there is one."""
        view = self._chosen_view
        return view.shown if view and self.has_focus else None

    @property
    def _chosen_view(self) -> MessageView | None:
        return self._view(self._selected)

    async def look_at(self, message_id: int, text: str) -> None:
        """Choose a message, wherever in the branch it stands, and show where the words of ``text`` are in it."""
        ids = [shown.message.id for shown in self._branch]
        if message_id in ids:
            self._most = max(self._most, len(ids) - ids.index(message_id))
            await self._mount(self._branch)
            self._wanted = message_id
            self.on_focus() if self.has_focus else self.focus()
            self.call_after_refresh(show_words, self, self._view(message_id), text)

    def on_focus(self) -> None:
        """Select what is to be looked at, else the newest answer on the screen."""
        wanted, self._wanted = self._wanted, None
        answers = [view for view in self.views if view.shown.is_answer] or self.views
        seen = [view for view in answers if view.region.overlaps(self.region)] or answers
        self._choose(wanted or (seen[-1].shown.message.id if seen else None))

    def on_blur(self) -> None:
        """Select nothing, and mark no words."""
        for view in self.views:
            view.mark("")
        self.forget_typed()
        self._choose(None)

    @on(MessageView.Clicked)
    def _choose_clicked(self, event: MessageView.Clicked) -> None:
        event.stop()
        self._choose(event.message_id)

    def _choose(self, message_id: int | None) -> None:
        if message_id != self._selected:
            self.post_message(self.Looked(next((s.message for s in self._branch if s.message.id == message_id), None)))
        self._selected = message_id
        for view in self.views:
            view.set_class(view.shown.message.id == message_id, "-selected")
        self.refresh_bindings()

    def action_select(self, step: int) -> None:
        """Select the message before or after, and bring it into view."""
        views = self.views
        place = next((index for index, view in enumerate(views) if view.shown.message.id == self._selected), len(views))
        if place + step < 0:
            self.post_message(Earlier.Wanted())
        elif place + step < len(views):
            view = views[place + step]
            self._choose(view.shown.message.id)
            self.scroll_to_widget(view, animate=False)

    def is_key(self, key: str) -> bool:
        """A digit is one where there is such a block of code, else text."""
        return any(self._can(binding.action) for binding in self._bindings.key_to_bindings.get(key, ()))

    def _can(self, action: str) -> bool:
        name, _, number = action.removesuffix(")").partition("(")
        return name != "copy_code" or bool(self.check_action(name, (number,)))

    def typed(self, text: str) -> None:
        """Whoever writes, writes in the prompt."""
        self.post_message(self.Wrote(text))

    # What can be wanted of the selected message

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only a finished answer can be rated and retried; only one of several has siblings."""
        shown = self.selected
        if action == "edit":
            return shown is not None and (shown.is_answer or shown.is_question) and not shown.is_streaming
        if action in ("rate", "retry"):
            return shown is not None and shown.is_answer and not shown.is_streaming
        if action == "go_on":
            return shown is not None and shown.is_answer and not shown.is_streaming and shown == self._branch[-1]
        if action == "thought":
            return shown is not None and self._chosen_view is not None and self._chosen_view.has_thought
        if action == "unfold":
            return shown is not None and self._chosen_view is not None and self._chosen_view.has_folded
        if action == "copy_code":
            view = self._chosen_view
            return shown is not None and view is not None and 0 < int(str(parameters[0])) <= len(view.codes)
        if action in ("copy", "delete"):
            return shown is not None and not shown.is_streaming
        if action == "sibling":
            return shown is not None and shown.of > 1
        return True

    def action_edit(self) -> None:
        """Edit it."""
        if shown := self.selected:
            self.post_message(self.EditWanted(shown.message))

    def action_rate(self, rating: str) -> None:
        """Rate it, or take the same rating back."""
        if shown := self.selected:
            wanted = Rating(rating)
            self.post_message(self.RatingWanted(shown.message, None if shown.message.rating is wanted else wanted))

    def action_retry(self) -> None:
        """Ask for another answer."""
        if shown := self.selected:
            self.post_message(self.RetryWanted(shown.message))

    def action_go_on(self) -> None:
        """Have more of it."""
        if shown := self.selected:
            self.post_message(self.MoreWanted(shown.message))

    def action_copy(self) -> None:
        """Copy it."""
        if shown := self.selected:
            self.post_message(self.CopyWanted(shown.message))

    def action_copy_code(self, number: int) -> None:
        """Copy one block of code of it."""
        if (view := self._chosen_view) and (code := view.code(number)):
            self.app.copy_to_clipboard(code)

    def action_delete(self) -> None:
        """Delete it."""
        if shown := self.selected:
            self.post_message(self.DeleteWanted(shown.message))

    def action_undo(self) -> None:
        """Bring back what was deleted last."""
        self.post_message(self.UndoWanted())

    def action_sibling(self, step: int) -> None:
        """See another answer."""
        if shown := self.selected:
            self.post_message(self.SiblingWanted(shown.message, step))

    def action_thought(self) -> None:
        """See what was thought before it, or fold it again."""
        if view := self._chosen_view:
            view.turn_thought()

    def action_unfold(self) -> None:
        """See the files of a question, and what is long of it, or fold them again."""
        if view := self._chosen_view:
            view.turn_folded()

    def action_leave(self) -> None:
        """Back to the prompt."""
        self.post_message(self.Left())
