"""An adapter's checks, asked. Owns which are asked of it and that the result is kept; never shows one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lora_chat.adapters.registry import Adapter
from lora_chat.chat.conversation import Turn
from lora_chat.engine.asking import ask
from lora_chat.engine.protocol import Engine
from lora_chat.errors import RefusedError
from lora_chat.models.answering import Answerer
from lora_chat.paths import Paths
from lora_chat.services import Services
from lora_chat.session import Wearing
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.line import Line, Proved
from lora_chat.training.proof.notes import noting
from lora_chat.training.proof.proving import Found, Outcome, in_order, outcome, prove

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting

HOW_THEY_COME = "every answer you correct and train on becomes one"


class Checking:
    """The checks of one adapter as it is installed now, and what came of those that were asked."""

    def __init__(self, adapter: Adapter, engine: Engine, paths: Paths) -> None:
        self.adapter = adapter
        self.line = Line.of(adapter.name, paths)
        self.found: dict[str, Proved] = {}
        """By the checks' ids."""
        self._engine = engine
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The adapter's."""
        return self.adapter.name

    @property
    def version(self) -> str:
        """The adapter's."""
        return self.adapter.version

    def checks(self) -> list[Check]:
        """All of what this version was taught, the earliest first. Raises as ``Line.checks``."""
        return self.line.checks(self.version)

    def in_order(self) -> list[Check]:
        """The same in the order in which they are asked. Raises as ``Line.checks``."""
        return in_order(self.checks(), self.line.proofs(self.version))

    def ask(self, cancel: threading.Event, checks: Sequence[Check] | None = None) -> Iterator[Found]:
        """Ask ``checks``, by default all, ``in_order``; what comes of them is kept as it comes.

        What does not fit in the window is left out, unless that is all of them.

        Raises:
            LoraChatError: as ``Engine.generate`` and ``Line.checks``.
        """
        worn, refused = Wearing(self.adapter).worn, list[RefusedError]()
        asked = self.in_order() if checks is None else checks

        def answer(turns: tuple[Turn, ...], most: int) -> str:
            return ask(self._engine, turns, worn, cancel, most)

        some = False
        with noting(self.line, self.version) as notes:
            for check, proved in prove(asked, answer, cancel, refused.append):
                some = True
                with self._lock:
                    self.found[check.id] = proved
                    notes.add(check.id, proved)
                yield check, proved
        if refused and not some:
            raise refused[0]

    def outcome(self) -> Outcome:
        """What came of all that were asked here. Raises as ``Line.checks``."""
        return outcome(self.checks(), self.found, self.line.before(self.version), self.version)


def refuse_another_base(
    adapter: Adapter, base: Answerer, services: Services, what: str = "Its checks are asked"
) -> None:
    """``what`` goes on the base that it was made for alone.

    Raises:
        RefusedError: ``base`` is another one.
    """
    verdict = services.index.verdict(adapter, base.signature)
    if not verdict.ok:
        raise RefusedError(verdict.reason)
    if verdict.doubt:
        asked = f"{what} on the base it was made for."
        raise RefusedError(f"{adapter.name}: {verdict.doubt} {asked}")


def check(sitting: Sitting, name: str) -> None:
    """Ask the checks of an adapter, by default of the one worn, and show what comes of them."""
    adapter = sitting.meant(name, "/check")
    refuse_another_base(adapter, sitting.answerer, sitting.services)
    sitting.face.show_checks(Checking(adapter, sitting.engine, sitting.services.paths))
