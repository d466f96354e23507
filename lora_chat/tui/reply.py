"""One answer in the making. Owns its thread and what is said so far; never touches a widget."""

from __future__ import annotations

import threading
from collections.abc import Callable

from lora_chat.chat.conversation import Message
from lora_chat.chat.store import Store
from lora_chat.defects import sentence
from lora_chat.engine.protocol import TextChunk
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.session import Ended, LeftOut, Started, TurnEvent
from lora_chat.sitting.face import Turn
from lora_chat.sitting.places import with_places
from lora_chat.tui.messages import News, ReplyBegan, ReplyEnded, ReplyGrew, Said
from lora_chat.tui.widgets.message import Shown


class Reply:
    """A turn that runs on a thread and tells the screen how it goes."""

    def __init__(
        self,
        turn: Turn,
        store: Store,
        put: Callable[[News], None],
        moved: Callable[[], None],
        is_open: Callable[[str], bool],
    ) -> None:
        """``put`` reaches the screen; ``moved`` is called when the conversation's head or where its context begins has
        moved and when the answer has ended, however; ``is_open`` says whether the person looks at a conversation."""
        self.cancel = threading.Event()
        self.lock = threading.Lock()
        """Held while a piece is added and told: a look at the conversation then misses none and sees none twice."""
        self.message_id: int | None = None
        self.text = self._begun = ""
        """``_begun`` is what is there already of an answer that goes on."""
        self.running = True
        self._turn, self._store, self._put = turn, store, put
        self._moved, self._is_open = moved, is_open
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="reply", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Until it has ended, for at most ``seconds``."""
        if self._over.wait(seconds):  # a window that is closed at once asks before the thread has begun
            self._thread.join(seconds)

    def _work(self) -> None:
        refusal = ""
        try:
            for event in self._turn(self.cancel):
                self._tell(event)
        except BaseException as error:
            refusal = sentence(error)
            if self.text == self._begun and (self._begun or isinstance(error, RefusedError)):
                self.message_id = None  # it was taken back, the text is the person's again; or is as it was
        self.running = False
        try:
            self._put(self._ended(refusal))
            self._moved()
        finally:
            self._over.set()

    def _tell(self, event: TurnEvent) -> None:
        match event:
            case Started():
                prompt, reply = (self._shown(message) for message in (event.prompt, event.reply))
                with self.lock:
                    self.message_id = event.reply.id
                    self.text = self._begun = event.reply.content
                    self._put(ReplyBegan(prompt, reply, elsewhere=not self._is_open(event.reply.conversation)))
                self._moved()
            case LeftOut():
                self._put(Said(event.sentence))
                self._moved()
            case TextChunk():
                with self.lock:
                    assert self.message_id is not None
                    self.text += event.text
                    self._put(ReplyGrew(self.message_id, event.text))
            case Ended():
                pass  # the store has its last form

    def _ended(self, refusal: str) -> ReplyEnded:
        """With the answer as it is kept; None where nothing was begun or it can no longer be read."""
        try:
            shown = None if self.message_id is None else self._shown(self._store.message(self.message_id))
        except NotFoundError:  # deleted meanwhile: nobody misses the rest
            return ReplyEnded(None)
        except LoraChatError:
            return ReplyEnded(None, refusal)
        return ReplyEnded(shown, refusal)

    def _shown(self, message: Message) -> Shown:
        ((same, place, of),) = with_places(self._store, [message])
        return Shown(same, place, of)
