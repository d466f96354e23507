"""What a program needs, put together. Owns the composition; never does any of the work.

Everything is opened at its first use: ``lora-chat adapter list`` opens no database, and nothing here imports torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from lora_chat.adapters.index import Index
from lora_chat.adapters.line_folder import recover
from lora_chat.adapters.mixture import Share, is_mixture, read_shares
from lora_chat.adapters.registry import Catalog
from lora_chat.adapters.scale import LARGEST_SCALE
from lora_chat.chat.store import Store
from lora_chat.config import LOCAL, Config, Precision, load_config
from lora_chat.engine.alone import start_alone, stop_alone
from lora_chat.engine.factory import open_local_for, open_process
from lora_chat.engine.kept import kept_for
from lora_chat.engine.process import ProcessEngine
from lora_chat.engine.protocol import Engine
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.models.answering import Answerer
from lora_chat.models.installed import InstalledBase, find_base
from lora_chat.paths import Paths, find_paths
from lora_chat.plugins.engines import PluginEngine
from lora_chat.plugins.manager import Plugins
from lora_chat.session import Session, Wearing
from lora_chat.text import clean_line
from lora_chat.training.estimate import Estimate, estimate
from lora_chat.training.events import DatasetReady
from lora_chat.training.pace import read_pace
from lora_chat.training.recipe import Recipe

SAFE_MODE = "LORA_CHAT_SAFE_MODE"
"""What says so in the environment; ``--safe-mode`` sets it."""


@dataclass
class Services:
    """One program's parts. Use as a context manager: leaving closes what was opened."""

    paths: Paths
    config: Config
    safe: bool = False
    """Whether this is the safe mode: no plugin runs and no adapter is worn."""
    _open: ExitStack = field(default_factory=ExitStack)
    _own_engines: dict[str, Engine] = field(default_factory=dict)
    _served: PluginEngine | None = None

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def abandon(self) -> None:
        """Leave what is open to the end of the process: closing an engine that loads would wait for it."""
        self._open.pop_all()

    @cached_property
    def store(self) -> Store:
        """The person's conversations."""
        return self._open.enter_context(Store.open(self.paths.database))

    @cached_property
    def unsaved_store(self) -> Store:
        """A store that is gone with the program, for ``--no-save``."""
        return self._open.enter_context(Store.in_memory())

    @cached_property
    def index(self) -> Index:
        """What is remembered of the adapters."""
        return Index(self.paths)

    @cached_property
    def plugins(self) -> Plugins:
        """What others add; nothing of it runs before it is needed."""
        plugins = Plugins(self.paths, safe=self.safe)
        self._open.callback(plugins.close)
        return plugins

    def adapters(self) -> Catalog:
        """What can be worn now; a folder dropped in a moment ago is there."""
        return self.index.catalog()

    def wear(self, wish: str, scale: float | None = None) -> Wearing:
        """Read ``NAME``, ``NAME=SCALE``, or the shares of a mixture: ``A=0.7+B=0.3``.

        Raises:
            NotFoundError: no such adapter, naming the nearest.
            RefusedError: the scale is not a number, the shares make no mixture, or this is the safe mode.
        """
        self._require_wearing()
        if is_mixture(wish):
            return self.mix(read_shares(wish), scale)
        name, sign, written = wish.partition("=")
        worn = Wearing(self.adapters().get(name), 1.0 if scale is None else scale)
        return self.scaled(worn, written) if sign else worn

    def scaled(self, wearing: Wearing, written: str) -> Wearing:
        """The same, worn as strongly as ``written`` says.

        Raises:
            RefusedError: it is not a number, or one that nothing can be worn at.
        """
        try:
            chosen = float(written)
        except ValueError:
            chosen = math.nan
        if not abs(chosen) <= LARGEST_SCALE:
            name = "0.8" if wearing.mixture else f"{wearing.name}=0.8"
            raise RefusedError(f'"{clean_line(written, 40)}" is not a scale from -{LARGEST_SCALE:g} to '
                               f"{LARGEST_SCALE:g}: write {name}, for example.")  # fmt: skip
        return replace(wearing, scale=chosen)

    def mix(self, shares: Sequence[Share], scale: float | None = None) -> Wearing:
        """Several adapters at once, each times its share, all of them times ``scale``. Raises as ``wear``."""
        self._require_wearing()
        catalog = self.adapters()
        parts = tuple((catalog.get(share.name), share.weight) for share in shares)
        return Wearing(max(parts, key=lambda part: abs(part[1]))[0], 1.0 if scale is None else scale, parts)

    def _require_wearing(self) -> None:
        if self.safe:
            raise RefusedError("This is the safe mode, which wears no adapter: start without it to wear one.")

    @property
    def is_served(self) -> bool:
        """Whether an engine of a plugin answers, whose base need not be on this machine."""
        return self.config.engine != LOCAL

    def base_to_begin_with(self, model: str | None) -> InstalledBase | None:
        """The base called ``model``, by default the one of the settings; None where an engine of a plugin needs none.

        Raises:
            NotFoundError: it is not on this machine, and is what answers or what ``model`` named.
            RefusedError: as ``find_base``.
        """
        try:
            return find_base(self.paths.models, model or self.config.model)
        except LoraChatError:
            if model or not self.is_served:
                raise
            return None

    def base_here(self) -> InstalledBase:
        """The base of the settings, for what is done on this machine alone.

        Raises:
            NotFoundError: it is not here.
            RefusedError: as ``find_base``.
        """
        try:
            return find_base(self.paths.models, self.config.model)
        except NotFoundError as error:
            name = clean_line(self.config.model, 60)
            raise NotFoundError(f"That is done on a base model of this machine, and {name} is not here: run "
                                f"`lora-chat model pull {name}`.") from error  # fmt: skip

    def answerer(self, base: InstalledBase | None) -> Answerer:
        """Who answers: ``base``, or whom an engine of a plugin names, which is asked now. Raises as ``load``."""
        if self.is_served:
            return self._plugins_engine(base).meet()
        assert base is not None
        return base

    def check_fit(self, wearing: Wearing, base: Answerer) -> list[str]:
        """Refuse what does not fit; returns what is to be said of what was made for another base.

        Raises:
            RefusedError: it does not fit, with the reason.
        """
        doubts = []
        for adapter in wearing.adapters:
            verdict = self.index.verdict(adapter, base.signature)
            if not verdict.ok:
                raise RefusedError(verdict.reason)
            if verdict.doubt:
                doubts.append(f"{adapter.name}: {verdict.doubt}")
        return doubts

    def engine_here(self, base: InstalledBase | None, precision: Precision | None = None) -> Engine:
        """An engine for one command: in this process, by default in the precision that the settings name.

        It is the settings' ``engine``, which may be a plugin's: in a process of its own then.

        Raises:
            RefusedError: a precision for a plugin's.
        """
        if self.is_served:
            if precision is not None:
                raise RefusedError(f"The engine {clean_line(self.config.engine, 40)} decodes in what it has: leave out "
                                   "--precision.")  # fmt: skip
            return self._plugins_engine(base)
        assert base is not None
        engine = open_local_for(base, self.paths, precision or self.config.precision)
        return self._open.enter_context(closing(engine))

    def engine_beside(self, base: InstalledBase | None) -> ProcessEngine:
        """The settings' engine in a process of its own, for a chat; a plugin's alone does without ``base``."""
        if self.is_served:
            return self._plugins_engine(base)
        assert base is not None
        return self._open.enter_context(closing(open_process(base, self.paths, self.config.precision)))

    def _plugins_engine(self, base: InstalledBase | None) -> PluginEngine:
        """One, whatever is asked: it is the same server."""
        if self._served is None or self._served.state == "closed":
            engine = PluginEngine(self.plugins, self.paths, self.config.engine, base)
            self._served = self._open.enter_context(closing(engine))
        return self._served

    def own_engine_here(self, base: InstalledBase) -> Engine:
        """As ``engine_here``, but this machine's own: it alone trains, and adapters are proved on its base."""
        if not self.is_served:
            return self.engine_here(base)
        return self._open.enter_context(closing(open_local_for(base, self.paths, self.config.precision)))

    def own_engine_beside(self, engine: Engine, base: InstalledBase) -> Engine:
        """``engine``, or this machine's own in a process of its own where that is a plugin's; one for each base."""
        if not isinstance(engine, PluginEngine):
            return engine
        if base.name not in self._own_engines:
            opened = open_process(base, self.paths, self.config.precision)
            self._own_engines[base.name] = self._open.enter_context(closing(opened))
        return self._own_engines[base.name]

    def estimate(self, counted: DatasetReady, recipe: Recipe, base: InstalledBase) -> Estimate:
        """What that training would cost here."""
        kept = kept_for(base, self.paths)
        measured = read_pace(kept.pace, base.signature.weights)
        prepared = kept.general_answers.is_file()
        return estimate(counted, recipe, base, self.adapters().adapters, prepared=prepared, measured=measured)

    def train_alone(self, jobs: Sequence[Path]) -> None:
        """Train these one after the other in a process of its own, which outlives this program."""
        start_alone(jobs, self.paths.logs)

    def stop_alone(self, by: str) -> None:
        """Stop such a process; see ``alone.stop_alone``."""
        stop_alone(by)

    def session(self, engine: Engine, base: InstalledBase | None, *, save: bool = True) -> Session:
        """Where turns happen."""
        told = engine if isinstance(engine, PluginEngine) else None
        who = known_answerer(engine, base)
        return Session(self.store if save else self.unsaved_store, engine, self.config, who.name, who.window, told)


def known_answerer(engine: Engine, base: InstalledBase | None) -> Answerer:
    """Who answers with ``engine``, as far as that is known by now: nobody is asked."""
    if isinstance(engine, PluginEngine):
        return engine.served
    assert base is not None
    return base


def open_services(environ: Mapping[str, str] | None = None) -> Services:
    """Put the parts together for the home that ``environ`` (by default the process's) names.

    ``LORA_CHAT_SAFE_MODE=1`` in it is the safe mode.

    Raises:
        RefusedError: the settings cannot be used.
    """
    environ = os.environ if environ is None else environ
    paths = find_paths(environ)
    recover(paths)
    return Services(paths, load_config(paths.config), is_safe(environ))


def is_safe(environ: Mapping[str, str]) -> bool:
    """Whether no plugin is to run and no adapter to be worn."""
    return environ.get(SAFE_MODE, "") not in ("", "0")
