"""The talk. Owns where its parts stand and which of them hears what; the work is ``bridge``'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from lora_chat.chat.conversation import Message, Role, Status
from lora_chat.tui import messages as news
from lora_chat.tui.base_messages import BaseChanged, BaseFound
from lora_chat.tui.bridge import Bridge
from lora_chat.tui.keymap import keymap_of
from lora_chat.tui.screens.attaching import Attaching
from lora_chat.tui.teaching import empty, still_written
from lora_chat.tui.widgets.asking import Asking
from lora_chat.tui.widgets.banner import Banner
from lora_chat.tui.widgets.keys import KeysLine
from lora_chat.tui.widgets.status_line import StatusLine
from lora_chat.tui.widgets.title_bar import TitleBar
from lora_chat.tui.widgets.tour_bar import TourBar

if TYPE_CHECKING:
    from lora_chat.tui.widgets.transcript import Transcript

_WORK = (
    "stop",
    "escape",
    "retry",
    "edit",
    "new",
    "list",
    "search",
    "pick_adapter",
    "adapters",
    "training",
    "ask_for_training",
)
"""Actions that need what is furnished after the first paint."""


class ChatScreen(Attaching):
    """The title, the conversations, the talk, the prompt and the keys."""

    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it an instance variable, as mypy sees it
        (0, "-narrow"),
        (100, "-normal"),
        (160, "-wide"),
    ]

    DEFAULT_CSS = """
    ChatScreen {
        background: $background;
        layers: base over;
        .rule { height: 1; hatch: "─" $border-blurred; }
        #middle { height: 1fr; }
        #bottom { height: auto; }
        #last { height: 1; }
        &.-list-hidden ConversationList { display: none; }
        &.-narrow ConversationList { layer: over; width: 34; background: $surface; display: none; }
        &.-narrow.-list-open ConversationList { display: block; }
        &.-wide ConversationList { width: 36; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "stop", id="chat.stop"),
        Binding("escape", "put_away", "put away", id="chat.put-away"),
        Binding("escape", "escape", "back", id="chat.back", show=False),
        Binding("ctrl+t", "training", "training", id="chat.training"),
        Binding("ctrl+t", "ask_for_training", "training", id="chat.training", show=False),
        Binding("ctrl+r", "retry", "retry", id="chat.retry"),
        Binding("ctrl+e", "edit", "edit", id="chat.edit"),
        Binding("ctrl+n", "new", "new", id="chat.new", show=False),
        Binding("ctrl+l", "list", "list", id="chat.list"),
        Binding("ctrl+f", "search", "search", id="chat.search", show=False),
        Binding("ctrl+g", "pick_adapter", "adapter", id="chat.adapters"),
        Binding("f2", "adapters", "adapters", id="chat.shelf", show=False),
        Binding("f3", "app.bases", "base models", id="chat.bases", show=False),
        Binding("f4", "app.editor", "editor", id="chat.editor", show=False),
        Binding("f1", "app.help", "help", id="chat.help", key_display="f1"),
    ]

    def __init__(self, bridge: Bridge) -> None:
        super().__init__(bridge, id="chat")
        self.answer: Message | None = None
        """The last answer of the visible branch."""
        self.worn = ""
        """The name of what is worn."""
        self._open: str | None = None
        """The conversation that is shown; a new one has no id yet."""
        self._answering = False
        self._answering_in = ""
        """The conversation of the answer that is being made."""
        self._sent = ""
        """What was sent last, until it is being answered."""
        self._furnished = False
        """Whether the talk and the list stand; the window is shown before."""

    def compose(self) -> ComposeResult:
        """From the top."""
        yield TitleBar()
        yield Static(classes="rule")
        yield Horizontal(id="middle")
        with Vertical(id="bottom"):
            yield TourBar()
            yield Static(classes="rule")
            yield Banner()
            yield Asking()
            with Horizontal(id="last"):
                yield StatusLine()
                yield KeysLine()

    def on_mount(self) -> None:
        """The window stands first; then what takes time to import, and the work."""
        self.asking.prompt.focus()
        self.call_after_refresh(self._furnish)

    async def _furnish(self) -> None:
        from lora_chat.tui.widgets.conversation_list import ConversationList
        from lora_chat.tui.widgets.transcript import Transcript

        await self.query_one("#middle").mount(ConversationList(), Transcript())
        self.talk.set_empty(empty(keymap_of(self)))
        self._furnished = True
        self.refresh_bindings()
        self.bridge.begin()
        self.set_interval(1.0, self.bridge.check)

    @property
    def talk(self) -> Transcript:
        """The messages."""
        from lora_chat.tui.widgets.transcript import Transcript

        return self.query_one(Transcript)

    # What the work tells

    def show_coming(self, text: str) -> None:
        """A base model comes, and how far it is; empty: none does."""
        self.query_one(StatusLine).coming = text

    def on_base_found(self, event: BaseFound) -> None:
        """The base is known."""
        self.talk.set_empty(empty(keymap_of(self)))
        self.on_base_changed(event)

    def on_base_changed(self, event: BaseFound | BaseChanged) -> None:
        """Who answers from now on, and how much it reads."""
        self.tour.know_base(event.base.signature)
        bar = self.query_one(TitleBar)
        bar.base, bar.window = event.base.name, event.base.window

    def on_cannot_begin(self, event: news.CannotBegin) -> None:
        """It stays to be read, where the talk would be."""
        self.talk.set_refusal(event.reason)

    def on_engine_seen(self, event: news.EngineSeen) -> None:
        """Loading, ready, dead."""
        shown = {"ready": "", "loading": "loading…", "died": "starting again…", "failed": "not running"}
        self.query_one(TitleBar).engine = shown.get(event.state, event.state)

    async def on_view_seen(self, event: news.ViewSeen) -> None:
        """What is open, and what it wears."""
        self._on_the_way = self._on_the_way or event.another
        bar = self.query_one(TitleBar)
        bar.title = event.conversation.title if event.conversation else ""
        bar.never_train = event.conversation is not None and event.conversation.never_train
        bar.sampling = event.sampling
        bar.archived = event.conversation is not None and event.conversation.archived
        bar.preset = event.conversation.preset if event.conversation else ""
        self.asking.know_names(event.presets, event.bases, event.formats)
        self._open = event.conversation.id if event.conversation else None
        self.worn = event.worn
        self.asking.wear(self.worn, event.scale)
        if self.worn:
            self.query_one(Banner).show("")
        answers = [each.message for each in event.shown if each.message.role is Role.ASSISTANT]
        before, self.answer = self.answer, answers[-1] if answers else None
        same = before is not None and self.answer is not None and before.id == self.answer.id
        self._show_figures(self.answer, another=event.another, counted=same)
        await self.talk.show(event.shown, keep_place=not event.another)
        if event.another:
            self._arrived()
        self.tour.saw("wears", self.worn)

    def on_context_counted(self, event: news.ContextCounted) -> None:
        """How full the context is, exactly; before the first message that is said only where it is much."""
        bar = self.query_one(TitleBar)
        bar.used = event.tokens if self.answer is not None or event.tokens >= bar.window / 100 else 0

    def on_conversations_seen(self, event: news.ConversationsSeen) -> None:
        """The side list."""
        self.list.show(event.conversations, self._open, event.archived)
        self.asking.know_conversations([*event.conversations, *event.archived])

    def on_adapters_seen(self, event: news.AdaptersSeen) -> None:
        """What can be worn, for completion."""
        self.tour.know_adapters(event.catalog.adapters)
        self.asking.know_adapters([(each.name, each.description) for each in event.catalog.adapters])

    async def on_look_wanted(self, event: news.LookWanted) -> None:
        """Where something was said."""
        await self.talk.look_at(event.message_id, event.text)

    def on_warned(self, event: news.Warned) -> None:
        """What was worn is no longer: that stays until it is put away or something is worn."""
        self.query_one(Banner).show(event.text)

    async def on_reply_began(self, event: news.ReplyBegan) -> None:
        """The person's message is kept."""
        self._answering, self._answering_in = True, event.reply.message.conversation
        self.refresh_bindings()
        if event.elsewhere:
            return
        self.answer = event.reply.message
        await self.talk.begin(event.prompt, event.reply)
        if self.query_one(TitleBar).engine:
            self.talk.wait_for(self.answer.id, "the model is loading")

    def on_reply_grew(self, event: news.ReplyGrew) -> None:
        """A piece of the answer."""
        self._sent = ""
        self.talk.grow(event.message_id, event.text)

    def on_reply_ended(self, event: news.ReplyEnded) -> None:
        """Whole, stopped or failed."""
        self._answering = False
        self.refresh_bindings()
        if event.shown is None:
            if event.refusal:
                self.post_message(news.Said(event.refusal, refused=True))
                if self._sent:
                    self.asking.give_back(self._sent)
            return
        message = event.shown.message
        if self.answer is not None and self.answer.id == message.id:  # else another conversation is looked at
            self.answer = message
            self.talk.end(event.shown)
            self._show_figures(message)
        if message.status is Status.DONE:
            self.query_one(TitleBar).engine = ""  # an engine that was given up runs again
        if message.status is not Status.FAILED:
            self.tour.saw("replied")

    def on_training_seen(self, event: news.TrainingSeen) -> None:
        """The line under the prompt."""
        line = self.query_one(StatusLine)
        is_new = line.training is None or not line.training.running
        line.training = event.progress
        self.refresh_bindings()
        if event.progress.running:
            if is_new:
                self.tour.saw("began")
        elif event.progress.state == "finished":
            self.tour.saw("trained", event.progress.name)
        else:
            self.tour.saw("not trained")

    def on_transcript_looked(self, event: Transcript.Looked) -> None:
        """How fast that one came."""
        self.query_one(StatusLine).show(event.message or self.answer)

    def forget_training(self) -> None:
        """It was looked at: the line is the figures' again."""
        self.query_one(StatusLine).training = None
        self.refresh_bindings()

    def _show_figures(self, answer: Message | None, *, another: bool = False, counted: bool = False) -> None:
        """``counted``: what the next prompt begins with may have been told since."""
        used = (answer.prompt_tokens or 0) + (answer.generated_tokens or 0) if answer else 0
        if another or (not counted and (used or answer is None)):  # of what the person wrote the last count stands
            self.query_one(TitleBar).used = used
        self.query_one(StatusLine).show(answer)

    # What the person writes

    def on_asking_sent(self, event: Asking.Sent) -> None:
        """A message or a command; what cannot be sent now stays where it is."""
        text = event.text
        if not self._furnished or not text.strip():
            self.asking.give_back(text.strip())
            return
        from lora_chat.sitting.commands import is_asked, is_message

        if self._answering and is_message(text):
            said = still_written(keymap_of(self), elsewhere=self._answering_in != self._open)
            self.post_message(news.Said(said))
            self.asking.give_back(text)
            return
        self.app.clear_notifications()  # whoever goes on has read them
        self.asking.accept(text)
        self._sent = text if is_asked(text) else ""
        self.talk.scroll_end(animate=False)
        if not self.tour.takes(text, self.bridge, self.answer):
            self.bridge.send(text)

    def ask_otherwise(self, question: Message, text: str) -> None:
        """Have ``text`` answered in the place of ``question``."""
        self._sent = text
        self.bridge.ask_otherwise(question, text)

    def on_not_taken(self, event: news.NotTaken) -> None:
        """It was refused."""
        self.asking.give_back(event.line)

    # What the window asks of it

    @property
    def base(self) -> str:
        """The base model's name."""
        return self.query_one(TitleBar).base

    @property
    def is_busy(self) -> bool:
        """Whether the person is in the middle of writing something."""
        return bool(self.asking.prompt.text.strip()) and self.tour.step is None

    def show_list(self, *, archived: bool = False) -> None:
        """The conversations, with the focus; ``archived``: with what was put away in sight."""
        self.remove_class("-list-hidden")
        self.set_class(self.has_class("-narrow"), "-list-open")
        self.list.focus()
        if archived:
            self.list.unfold()

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that could do nothing now are not shown."""
        if not self._furnished and action in _WORK:
            return False
        if action == "stop":
            return self._answering or self.bridge.on_errand
        if action == "put_away":
            return self.query_one(Banner).is_shown and not self.asking.prompt.completing
        if action == "training":
            progress = self.query_one(StatusLine).training
            return progress is not None and (progress.running or progress.state == "finished")
        if action in ("retry", "edit"):
            return self.answer is not None and not self._answering
        return True

    def action_stop(self) -> None:
        """Close what is open, else stop the answer, else a plugin's command."""
        if not self.asking.close_completions():
            (self.bridge.stop_reply if self._answering else self.bridge.stop_errand)()

    def action_escape(self) -> None:
        """Close what is open, else look at the answers."""
        if self.asking.close_completions():
            return
        if self.tour.step is not None:
            self.leave_tour()
        elif self.answer is not None:
            self.talk.focus()

    def action_retry(self) -> None:
        """Answer the last question again."""
        self.bridge.run(lambda sitting: sitting.retry())

    def action_edit(self) -> None:
        """Write the answer that was wanted in place of the last one."""
        if self.answer is not None:
            self.edit(self.answer)

    def action_put_away(self) -> None:
        """The banner was read."""
        self.query_one(Banner).show("")

    def action_ask_for_training(self) -> None:
        """There is none: that is said."""
        self.action_training()

    def action_training(self) -> None:
        """How far the training is."""
        self.bridge.take("/train status")
