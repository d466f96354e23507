"""Between the event loop and everything that takes time. Owns the UI process's threads; never touches a widget.

The screen calls the methods of the first half, which return at once. A sitting speaks through those of the second half,
its ``Face``, which put messages into the outbox. Commands are done one after another; a reply, a training, the loading
of the model and searches have threads of their own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from lora_chat.defects import sentence
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.tui import messages as news
from lora_chat.tui.base_arrivals import BaseArrivals
from lora_chat.tui.base_messages import BaseChanged, BaseFound, BaseMissing
from lora_chat.tui.desk import Desk
from lora_chat.tui.drafts import Drafts
from lora_chat.tui.errands import Errands
from lora_chat.tui.files import Files
from lora_chat.tui.keymap import Keymap
from lora_chat.tui.outbox import Outbox
from lora_chat.tui.typed import Typed

if TYPE_CHECKING:
    from lora_chat.chat.conversation import Message
    from lora_chat.chat.store import Store
    from lora_chat.models.answering import Answerer
    from lora_chat.models.entry import CatalogEntry
    from lora_chat.models.installed import InstalledBase
    from lora_chat.services import Services
    from lora_chat.sitting.checking import Checking
    from lora_chat.sitting.columns import Comparison
    from lora_chat.sitting.face import Facts, Turn
    from lora_chat.sitting.sitting import Sitting
    from lora_chat.training.proof.check import Check
    from lora_chat.tui.comparing import Asking
    from lora_chat.tui.engine_watch import EngineWatch
    from lora_chat.tui.reply import Reply
    from lora_chat.tui.shelf_watch import ShelfWatch

LISTED = 500
"""Conversations in the side list; older ones are found by searching."""

_PATIENCE_S = 5.0
"""How long the end waits for a thread."""


class Bridge(Typed, Errands):
    """The screen's way to the work, and the work's way to the screen."""

    def __init__(
        self,
        deliver: Callable[[news.News], object],
        model: str | None = None,
        adapter: str | None = None,
        keymap: Keymap | None = None,
    ) -> None:
        """``deliver`` is called on the event loop; ``model`` and ``adapter`` are the command line's wishes."""
        self._outbox = Outbox(deliver)
        self._model, self._adapter, self._keymap = model, adapter, keymap or Keymap()
        self._desk = Desk("desk", self._complain)
        self._reader = Desk("reader", self._complain)
        self._services: Services | None = None
        self.sitting: Sitting | None = None
        self._watch: EngineWatch | None = None
        self._shelf: ShelfWatch | None = None
        self._reply: Reply | None = None
        self._who: Answerer | None = None
        self._comparing = threading.Event()  # set once nobody waits for it any more
        self._proving = threading.Event()  # the same of checks
        self.arrivals = BaseArrivals(self._put, self._reader.put, self._desk.put, self._begin, self)
        self.drafts = Drafts(self._desk.put)
        self.files = Files(self._put, lambda: self.sitting, self._complain)
        self._questions: set[Future[bool]] = set()
        self._closed = False
        self._why_not = "The base model is not here yet: fetch it first."

    # What the screen asks for; on the event loop

    def begin(self) -> None:
        """Open the home and the base model; called once, on the event loop."""
        self._outbox.open()
        self._desk.put(self._open)

    def take(self, line: str) -> None:
        """Do what a line says: a command, or a message to be answered."""
        from lora_chat.sitting.commands import take

        self.run(lambda sitting: take(sitting, line))

    def run(self, action: Callable[[Sitting], object]) -> None:
        """Do ``action`` after the commands before it."""
        self._desk.put(lambda: action(self._require()))

    @property
    def replying(self) -> bool:
        """Whether an answer is being made."""
        return self._reply is not None and self._reply.running

    def stop_reply(self) -> None:
        """End the answer that is being made; what there is of it is kept."""
        if self._reply is not None:
            self._reply.cancel.set()

    def compare(self, ask: Asking) -> None:
        """Have ``ask`` ask on a thread of its own; a comparison that runs is ended."""
        self.stop_comparing()
        self._comparing = cancel = threading.Event()
        self._beside("compare", lambda: ask(self._require(), self._put, cancel))

    def stop_comparing(self) -> None:
        """End the comparison."""
        self._comparing.set()

    def prove(self, checking: Checking, checks: Sequence[Check], cancel: threading.Event) -> None:
        """Ask ``checks`` beside the chat, once they are kept, and tell what comes of each; ``cancel`` ends it."""
        from lora_chat.tui.proving import prove

        self._proving = cancel
        self._desk.put(lambda: self._beside("checks", lambda: prove(checking, checks, cancel, self._put)))

    def search(self, text: str) -> None:
        """Find where ``text`` was said."""

        def find() -> None:
            from lora_chat.chat.search import search

            self._put(news.HitsSeen(text, search(self._require().store, text)))

        self._reader.put(find)

    def check(self) -> None:
        """Notice a dead engine process, and what changed among the adapters; called every second."""
        for watch in (self._watch, self._shelf):
            if watch is not None:
                watch.check()

    def close(self) -> None:
        """Stop everything and keep what there is; called after the event loop has ended."""
        self._closed = True
        self._outbox.close()
        self.drafts.close()
        for question in list(self._questions):
            question.cancel()
        self.stop_comparing()
        self.arrivals.stop()
        self.stop_errand()
        self.stop_reply()
        if self._reply is not None:
            self._reply.wait(_PATIENCE_S)
        self.arrivals.wait(_PATIENCE_S)
        self._reader.close(_PATIENCE_S)
        self._desk.put(self._shut)
        self._desk.close(_PATIENCE_S)

    # Opening

    def _open(self) -> None:
        from lora_chat.chat.written import NEW, sent_before
        from lora_chat.plugins.model_sources import find_entry
        from lora_chat.services import open_services

        services = self._services = self.arrivals.services = open_services()
        self._put(news.SettingsRead(services.config))
        self.drafts.store = services.store
        self._put(news.WrittenSeen(sent_before(services.store), self.drafts.of(NEW)))
        self._list(services.store)
        try:
            base = services.base_to_begin_with(self._model)
        except NotFoundError:
            name = self._model or services.config.model
            self._put(BaseMissing(find_entry(services.plugins, name, services.paths.config)))
            return
        self._sit_down(services, base)

    def _sit_down(self, services: Services, base: InstalledBase | None) -> None:
        from lora_chat.sitting.sitting import Sitting
        from lora_chat.tui.shelf_watch import ShelfWatch

        wearing = None
        try:
            wearing = services.wear(self._adapter) if self._adapter else None
        except LoraChatError as error:
            self.warn(f"{error} The base answers.")
        sitting = self.sitting = self.arrivals.sitting = Sitting(services, base, self)
        sitting.begin_with(wearing)
        self._who = sitting.answerer
        self._put(BaseFound(self._who, first_time=base is not None and not services.store.conversations(1)))
        self._load(sitting)
        self._shelf = ShelfWatch(sitting, self._put, self._reader.put, self.run)
        self.changed()

    def _load(self, sitting: Sitting) -> None:
        from lora_chat.tui.engine_watch import EngineWatch, ready

        self._watch = EngineWatch(sitting.engine, self._put, lambda: self.run(ready))
        self._watch.load()

    def _begin(self, base: InstalledBase) -> None:
        """With a base that was chosen at the first start; it is the default then, if the command line named none."""
        from lora_chat.tui.base_arrivals import keep

        assert self._services is not None
        if self._model is None:
            keep(self._services, base)
        self._sit_down(self._services, base)

    def _shut(self) -> None:
        if self.sitting is not None:
            self.sitting.close()
        if self._services is not None:
            with self._services:
                pass

    # What a sitting shows: ``Face``; on any thread but the event loop's

    def confirm(self, question: str, *, loses: bool = False, about: Facts = ()) -> bool:
        """See ``Face.confirm``; a window that closes meanwhile says no."""
        answer: Future[bool] = Future()
        self._questions.add(answer)
        if self._closed:
            return False
        self._put(news.Asked(question, loses, about, answer))
        try:
            return answer.result()
        except BaseException:  # CancelledError is one
            return False
        finally:
            self._questions.discard(answer)

    def opened(self) -> None:
        """See ``Face.opened``."""
        self._look(another=True)

    def changed(self) -> None:
        """See ``Face.changed``."""
        self._look(another=False)
        self.check()

    def play(self, turn: Turn) -> None:
        """See ``Face.play``; the answer comes on a thread of its own.

        Raises:
            RefusedError: an answer is being made.
        """
        self.check_idle()
        from lora_chat.tui.reply import Reply

        sitting = self._require()
        self._reply = Reply(turn, sitting.store, self._put, self._moved, sitting.is_open)
        self._reply.start()

    def base_leaves(self) -> None:
        """See ``Face.base_leaves``."""
        self.stop_comparing()
        self._proving.set()
        if self._watch is not None:
            self._watch.leave()

    def base_changed(self, base: InstalledBase) -> None:
        """See ``Face.base_changed``; it is loaded at once."""
        self._tell_who(base)
        self._load(self._require())
        self.bases_changed()

    def _tell_who(self, who: Answerer) -> None:
        self._who = who
        self._put(BaseChanged(who))
        if self._shelf is not None:
            self._shelf.start_over()

    def pull(self, wish: str, entry: CatalogEntry) -> None:
        """See ``Face.pull``."""
        self.arrivals.start(wish, entry.name)

    def coming(self) -> str:
        """See ``Face.coming``."""
        return self.arrivals.coming

    def bases_changed(self) -> None:
        """See ``Face.bases_changed``."""
        self.arrivals.look()

    def copy(self, text: str) -> None:
        """See ``Face.copy``."""
        from lora_chat.sitting.clipboard import copy

        file = self._require().services.paths.copied
        self.note(copy(text, file, os.environ, lambda sequence: self._put(news.TerminalTold(sequence))))

    def show_columns(self, comparison: Comparison) -> None:
        """See ``Face.show_columns``; the screen has them asked. Raises as ``play``."""
        self.check_idle()
        self._put(news.ColumnsSeen(comparison))

    def write_answer(self, message: Message) -> None:
        """See ``Face.write_answer``."""
        sitting = self._require()
        question = sitting.store.message(message.parent).content if message.parent is not None else ""
        self._put(news.AnswerWanted(message, question))

    def check_idle(self) -> None:
        """See ``Face.check_idle``."""
        if self.replying:
            raise RefusedError(
                self._keymap.told("An answer is still being written: {chat.stop} stops it, then write again.")
            )

    # Inside

    def _moved(self) -> None:
        """An answer has begun or ended: its conversation's head, title and place in the list are others now."""

        def look(sitting: Sitting) -> None:
            self.changed()
            if not self.replying:
                sitting.prefill()

        if not self._closed:
            self.run(look)

    def _put(self, event: news.News) -> None:
        self._outbox.put(event)

    def _require(self) -> Sitting:
        if self.sitting is None:
            raise RefusedError(self._why_not)
        return self.sitting

    def _look(self, *, another: bool) -> None:
        """Tell the screen what is open now; an answer that is being made is shown as far as it is."""
        from lora_chat.chat.written import NEW
        from lora_chat.tui.view import view_of

        sitting = self._require()
        with sitting.store.one_view():  # a refused message is taken back at any moment
            sitting.refresh()
            if sitting.answerer is not self._who:  # a server has told
                self._tell_who(sitting.answerer)
            with self._reply.lock if self._reply is not None else threading.Lock():
                id = sitting.conversation.id if sitting.conversation else NEW
                self._put(news.DraftSeen(id, self.drafts.of(id), another))
                self._put(view_of(sitting, self._reply, another=another))
        self._list(sitting.store)

    def _list(self, store: Store) -> None:
        with store.one_view():
            self._put(news.ConversationsSeen(store.listed(LISTED), store.listed(LISTED, archived=True)))

    def _beside(self, name: str, job: Callable[[], object]) -> None:
        def guarded() -> None:
            try:
                job()
            except BaseException as error:
                self._complain(error)

        threading.Thread(target=guarded, name=name, daemon=True).start()

    def _complain(self, error: BaseException) -> None:
        if self._closed:
            return
        said = sentence(error)
        if self.sitting is None and said != self._why_not:
            self._why_not = said  # whatever is asked for later cannot be had for the same reason
            self._put(news.CannotBegin(said))
        else:
            self._put(news.Said(said, refused=True))
