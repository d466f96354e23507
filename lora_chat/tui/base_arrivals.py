"""The bases of this machine while a window is open. Owns one that comes, and looking at all; never loads one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from lora_chat.config import save_settings
from lora_chat.defects import sentence
from lora_chat.errors import NotFoundError
from lora_chat.models.answering import Served
from lora_chat.tui.base_messages import BaseCame, BasesSeen, FetchFailed
from lora_chat.tui.fetching import Fetcher
from lora_chat.tui.messages import News

if TYPE_CHECKING:
    from lora_chat.models.installed import InstalledBase
    from lora_chat.services import Services
    from lora_chat.sitting.face import Face
    from lora_chat.sitting.sitting import Sitting

Do = Callable[[Callable[[], object]], object]


class BaseArrivals:
    """Before there is a chat, of the base that it begins with; afterwards of others beside the one that answers."""

    def __init__(
        self,
        put: Callable[[News], object],
        read: Do,
        do: Do,
        begin: Callable[[InstalledBase], object],
        face: Face,
    ) -> None:
        """``put`` reaches the screen, ``read`` the reader's thread, ``do`` the sitting's, where ``begin`` is called."""
        self._put, self._read, self._do, self._begin, self._face = put, read, do, begin, face
        self._fetcher = Fetcher(put, self._came)
        self.services: Services | None = None
        self.sitting: Sitting | None = None

    def start(self, wish: str, name: str) -> None:
        """Bring what ``model pull`` calls ``wish``, to be called ``name`` here. Raises as ``Fetcher.start``."""
        self._fetcher.start(wish, name)

    @property
    def coming(self) -> str:
        """The name of the one that comes; empty where none does."""
        return self._fetcher.name

    def stop(self) -> None:
        """Nobody waits for what comes any more."""
        self._fetcher.stop()

    def wait(self, seconds: float) -> None:
        """Until nothing comes, for at most ``seconds``."""
        self._fetcher.wait(seconds)

    def look(self, *, asked: bool = False) -> None:
        """Tell the screen what there is; ``asked`` opens the one that shows it."""
        self._read(lambda: self._look(asked))

    def begin_with(self, name: str) -> None:
        """Begin the chat with the base called ``name``, which comes first where it is not here.

        Much that it needs is said and asked about; declined, or refused, the choice is there again.
        """

        def begin() -> None:
            try:
                self._begin_with(name)
            except BaseException as error:
                self._put(FetchFailed(sentence(error), name))

        self._do(begin)

    def _begin_with(self, name: str) -> None:
        from lora_chat.models.installed import find_base
        from lora_chat.plugins.model_sources import find_entry
        from lora_chat.sitting.base_offer import question, weigh

        assert self.services is not None
        paths = self.services.paths
        try:
            here = find_base(paths.models, name)
        except NotFoundError:
            entry = find_entry(self.services.plugins, name, paths.config)
        else:
            self._begin(here)
            return
        doubts = weigh(self.services, entry)
        if doubts and not self._face.confirm(question(entry, doubts)):
            self._put(FetchFailed("", name))
        else:
            self.start(name, entry.name)

    def _look(self, asked: bool) -> None:
        from lora_chat.sitting.base_shelf import choices
        from lora_chat.sitting.bases import list_choices

        assert self.services is not None
        found = list_choices(self.services) if self.sitting is None else choices(self.sitting)
        self._put(BasesSeen(found, asked))

    def _came(self, name: str) -> None:
        from lora_chat.models.installed import find_base

        assert self.services is not None
        base = find_base(self.services.paths.models, name)
        if self.sitting is None:
            self._do(lambda: self._begin(base))
            return
        self._put(BaseCame(base))
        if isinstance(self.sitting.answerer, Served):
            self._face.note(f"{base.name} is on this machine now; {self.sitting.answerer.name} answers as before.")
        else:
            self._face.note(f"{base.name} is on this machine now: /model use {base.name} has it answer.")
        self.look()


def keep(services: Services, base: InstalledBase) -> None:
    """Begin with ``base`` from now on."""
    if base.name != services.config.model:
        save_settings(services.paths.config, model=base.name)
        services.config = replace(services.config, model=base.name)
