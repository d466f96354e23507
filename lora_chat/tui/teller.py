"""What a sitting shows and nobody waits for. Owns which message each part of ``Face`` becomes; has no thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lora_chat.tui import messages as news
from lora_chat.tui.base_messages import BasesSeen

if TYPE_CHECKING:
    from lora_chat.adapters.registry import Catalog
    from lora_chat.chat.conversation import Message
    from lora_chat.chat.search import Hit
    from lora_chat.sitting.bases import Choices
    from lora_chat.sitting.checking import Checking
    from lora_chat.sitting.plan import Plan
    from lora_chat.sitting.training import Training
    from lora_chat.training.report.record import Record


class Teller:
    """The half of ``Face`` that only tells; ``Bridge`` has the other, which asks and waits."""

    def _put(self, event: news.News) -> None:
        raise NotImplementedError

    def note(self, text: str) -> None:
        """See ``Face.note``."""
        self._put(news.Said(text))

    def details(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """See ``Face.details``."""
        self._put(news.DetailsSeen(title, rows))

    def counted(self, tokens: int) -> None:
        """See ``Face.counted``."""
        self._put(news.ContextCounted(tokens))

    def warn(self, text: str) -> None:
        """See ``Face.warn``."""
        self._put(news.Warned(text))

    def show_adapters(self, catalog: Catalog) -> None:
        """See ``Face.show_adapters``; what is in it was told when it was seen."""
        self._put(news.Opened("adapters"))

    def show_bases(self, choices: Choices) -> None:
        """See ``Face.show_bases``."""
        self._put(BasesSeen(choices, asked=True))

    def choose_conversation(self, archived: bool = False) -> None:
        """See ``Face.choose_conversation``."""
        self._put(news.Opened("archived" if archived else "conversations"))

    def found(self, text: str, hits: Sequence[Hit]) -> None:
        """See ``Face.found``."""
        self._put(news.HitsSeen(text, hits, asked=True))

    def look_at(self, message: Message, text: str) -> None:
        """See ``Face.look_at``."""
        self._put(news.LookWanted(message.id, text))

    def write_question(self, question: Message) -> None:
        """See ``Face.write_question``."""
        self._put(news.QuestionWanted(question))

    def offer(self, plan: Plan) -> None:
        """See ``Face.offer``."""
        self._put(news.Offered(plan))

    def trains(self, training: Training) -> None:
        """See ``Face.trains``."""
        self._put(news.TrainingSeen(training.progress))

    def show_training(self, training: Training) -> None:
        """See ``Face.show_training``."""
        self._put(news.TrainingSeen(training.progress))
        self._put(news.Opened("training"))

    def show_checks(self, checking: Checking) -> None:
        """See ``Face.show_checks``."""
        self._put(news.ChecksSeen.of(checking))

    def show_report(self, record: Record, *, worn: bool) -> None:
        """See ``Face.show_report``."""
        self._put(news.ReportSeen(record, worn))

    def help(self) -> None:
        """See ``Face.help``."""
        self._put(news.Opened("help"))

    def keys(self) -> None:
        """See ``Face.keys``."""
        self._put(news.Opened("keys"))

    def theme(self, name: str) -> None:
        """See ``Face.theme``."""
        self._put(news.ThemeChosen(name))

    def tour(self) -> None:
        """See ``Face.tour``."""
        self._put(news.Opened("tour"))

    def leave(self) -> None:
        """See ``Face.leave``."""
        self._put(news.LeaveAsked())
