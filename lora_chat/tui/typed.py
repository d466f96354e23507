"""What the person typed, on its way to the work. Owns that what is refused comes back; never touches a widget."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lora_chat.errors import UsageError
from lora_chat.tui.messages import News, NotInstalled, NotTaken

if TYPE_CHECKING:
    from lora_chat.chat.conversation import Message
    from lora_chat.sitting.sitting import Sitting
    from lora_chat.tui.desk import Desk


class Typed:
    """The part of ``Bridge`` that takes words; called on the event loop."""

    sitting: Sitting | None
    _desk: Desk
    _put: Callable[[News], None]
    _require: Callable[[], Sitting]
    leave: Callable[[], None]
    help: Callable[[], None]

    def send(self, line: str) -> None:
        """``take`` what the person wrote; what is refused they get back, unless it is only a command's own words."""
        from lora_chat.sitting.commands import has_own_words, take

        def sent() -> None:
            if self.sitting is None and line.strip() in ("/quit", "/help"):
                self.leave() if line.strip() == "/quit" else self.help()
            else:
                take(self._require(), line)

        self._desk.put(
            self._keeping(NotTaken(line), sent, lambda error: isinstance(error, UsageError) or has_own_words(line))
        )

    def ask_otherwise(self, question: Message, text: str) -> None:
        """Have ``text`` answered in the place of ``question``; what is refused at once the person gets back."""
        from lora_chat.sitting.turns import ask_otherwise

        self._desk.put(self._keeping(NotTaken(text), lambda: ask_otherwise(self._require(), question, text)))

    def edit(self, answer: Message, text: str) -> None:
        """Put ``text`` in the place of ``answer``; what is refused the person gets back, as it would be typed."""
        self._desk.put(self._keeping(NotTaken(f"/edit {text}"), lambda: self._require().edit(answer, text)))

    def install(self, source: str) -> None:
        """Install an adapter, as ``/adapter install``; ``source`` that is refused goes back to where it was written."""
        from lora_chat.sitting.commands import take

        line = f"/adapter install {source}"
        self._desk.put(self._keeping(NotInstalled(source), lambda: take(self._require(), line)))

    def _keeping(
        self, back: News, action: Callable[[], object], counts: Callable[[Exception], bool] = lambda error: True
    ) -> Callable[[], None]:
        """``action``; where it fails, ``back`` tells its writer, if the failure ``counts``."""

        def kept() -> None:
            try:
                action()
            except Exception as error:
                if counts(error):
                    self._put(back)
                raise

        return kept
