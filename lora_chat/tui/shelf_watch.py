"""Whether the adapters' folder changed. Owns looking again and again, and how each adapter stands; never wears one.

A look asks for the times and sizes of every folder's files, 10 ms for a thousand, so no notifications of the operating
system are needed. What takes reading a header, or every byte, is done a few at a time: searches wait for this thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lora_chat.adapters.registry import Adapter, Catalog
from lora_chat.adapters.removal import sweep
from lora_chat.tui.messages import AdaptersSeen, News

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting
    from lora_chat.sitting.standing import Standing

AT_ONCE = 8
"""So many headers take 40 ms."""

OFTEN_S = 0.5
"""Between two words to the screen while many are looked into: it draws all of them each time."""


class ShelfWatch:
    """What one sitting can wear, kept up to date; all of it but ``check`` runs on the reader's thread."""

    def __init__(
        self,
        sitting: Sitting,
        put: Callable[[News], None],
        read: Callable[[Callable[[], object]], None],
        run: Callable[[Callable[[Sitting], object]], None],
    ) -> None:
        """``put`` reaches the screen, ``read`` the reader's thread, ``run`` the sitting's."""
        self._sitting = sitting
        self._put, self._read, self._run = put, read, run
        self._catalog: Catalog | None = None
        self._changed: set[str] = set()
        """Names of those whose files changed while we looked on: their bytes are held against what they were."""
        self._effects: dict[str, float] = {}
        self._standings: dict[str, Standing] = {}
        self._waiting = False
        self._told = 0.0
        read(lambda: sweep(sitting.services.paths))

    def check(self) -> None:
        """Look once, on the reader's thread; returns at once, and does nothing where a look is waited for."""
        if not self._waiting:
            self._waiting = True
            self._read(self._look)

    def start_over(self) -> None:
        """Another base answers: how each stands to it is looked at anew."""
        self._read(self._forget)

    def _forget(self) -> None:
        self._catalog = None
        self._standings = {}
        self.check()

    def _look(self) -> None:
        self._waiting = False
        catalog, effects = self._sitting.services.adapters(), self._sitting.standings.effects()
        same = _are_same(catalog, self._catalog)
        if same and effects == self._effects:
            return
        before, self._effects = self._catalog, effects
        if not same:
            self._note_changes(before, catalog)
            self._run(lambda sitting: sitting.look_after_what_is_worn())
        self._catalog = catalog
        known = {each.name: self._sitting.standings.known(each, effects) for each in catalog.adapters}
        self._standings = {name: found for name, found in known.items() if found and name not in self._changed}
        self._tell()
        self._read(self._judge)

    def _note_changes(self, before: Catalog | None, now: Catalog) -> None:
        known = {each.path: each for each in before.adapters} if before else {}
        self._changed |= {each.name for each in now.adapters if known.get(each.path, each) is not each}

    def _judge(self) -> None:
        """How the next few stand."""
        catalog = self._catalog
        if catalog is None:
            return
        waiting = [each for each in catalog.adapters if each.name not in self._standings]
        for adapter in waiting[:AT_ONCE]:
            self._standings[adapter.name] = self._standing(adapter)
        if waiting and (len(waiting) <= AT_ONCE or time.monotonic() - self._told > OFTEN_S):
            self._tell()
        if len(waiting) > AT_ONCE:
            self._read(self._judge)
        else:
            self._sitting.services.index.keep()

    def _standing(self, adapter: Adapter) -> Standing:
        changed = adapter.name in self._changed
        self._changed.discard(adapter.name)
        return self._sitting.standings.of(adapter, changed=changed)

    def _tell(self) -> None:
        assert self._catalog is not None
        self._told = time.monotonic()
        self._put(AdaptersSeen(self._catalog, dict(self._standings)))


def _are_same(now: Catalog, before: Catalog | None) -> bool:
    """Whether nothing was read anew: bytes that changed may say the same of themselves."""
    if before is None or now.problems != before.problems or len(now.adapters) != len(before.adapters):
        return False
    return all(each is other for each, other in zip(now.adapters, before.adapters, strict=True))
