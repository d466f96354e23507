"""The plugins of one home. Owns which run, agreeing to one, and switching off what breaks; never runs them itself.

A plugin that breaks loses its process and its word, and the person reads why once; everybody else goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from typing import Any, Literal

from lora_chat.adapters.registry import Problem
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError, did_you_mean
from lora_chat.paths import Paths
from lora_chat.plugins.content import same_content
from lora_chat.plugins.finding import Plugin, find_plugins
from lora_chat.plugins.offers import NOTHING, Offer, Offers, called, read_offers
from lora_chat.plugins.process import Answers, BrokenPlugin, Lives, PluginProcess, RefusedByPlugin
from lora_chat.plugins.trust import Trust, Word
from lora_chat.text import clean_line

State = Literal["on", "off", "changed", "switched off"]

Taken = Mapping[str, Collection[str]]
"""Names that no plugin can have, by hook."""


class Broke(RefusedError):
    """A plugin broke and is switched off."""

    def __init__(self, sentence: str, why: str) -> None:
        super().__init__(sentence)
        self.why = why
        """What it did, in words that can stand inside another sentence."""


SAFE = "safe mode runs none"
"""Why none runs."""
GONE = "its files are not here any more"
"""Why one does not run that nobody disabled."""

WARNING = "A plugin is code that runs with your rights: it can read, change and send whatever you can."
"""What is said before one is agreed to."""


@dataclass(frozen=True)
class Listed:
    """One plugin and how it stands."""

    plugin: Plugin
    state: State
    why: str = ""
    """Why it does not run; empty where it does."""
    offers: Offers = NOTHING
    """What it has, or of one that was changed since what it had, once it was enabled."""

    @property
    def name(self) -> str:
        """The plugin's."""
        return self.plugin.name


@dataclass(frozen=True)
class Absent:
    """A plugin that was enabled and does not run now."""

    name: str
    state: Literal[State, "unusable", "safe", "gone"]
    why: str
    offers: tuple[Offer, ...]
    """What it had for the hook that was asked for."""


@dataclass(frozen=True)
class Shelf:
    """What there is."""

    plugins: tuple[Listed, ...]
    problems: tuple[Problem, ...]
    gone: tuple[Problem, ...]
    """Those that the person enabled and did not disable, and whose files are not there any more."""


class Plugins:
    """What the program has of plugins; any thread may ask. Nothing is looked for before that."""

    def __init__(self, paths: Paths, *, safe: bool = False) -> None:
        """``safe`` runs none."""
        self._paths = paths
        self.safe = safe
        self._trust = Trust(paths)
        self._running: dict[str, PluginProcess] = {}
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._news: list[str] = []

    # What there is

    def shelf(self) -> Shelf:
        """Every plugin as it is now, and the folders that cannot be used."""
        found, words = find_plugins(self._paths), self._trust.words()
        listed = tuple(self._listed(each, words.get(each.name)) for each in found.plugins)
        there = {each.name for each in listed} | {each.path.name for each in found.problems}
        wanted = sorted(name for name, word in words.items() if word.on or word.why)
        gone = tuple(Problem(self._paths.plugins / name, _gone(name)) for name in wanted if name not in there)
        return Shelf(listed, found.problems, gone)

    def get(self, name: str) -> Listed:
        """One of them.

        Raises:
            RefusedError: there is one of that name, and it cannot be used.
            NotFoundError: there is none.
        """
        shelf = self.shelf()
        for each in shelf.plugins:
            if each.name == name:
                return each
        for problem in shelf.problems:
            if problem.path.name == name:
                raise RefusedError(problem.reason)
        for lost in shelf.gone:
            if lost.path.name == name:
                raise NotFoundError(lost.reason)
        near = did_you_mean(name, [each.name for each in shelf.plugins]) or ":"
        raise NotFoundError(f'There is no plugin called "{clean_line(name, 40)}"{near} `lora-chat plugin list` shows '
                            "them all.")  # fmt: skip

    def on(self) -> list[Listed]:
        """Those that run where they are needed: agreed to, and unchanged since. Looks at no disk where none is."""
        if self.safe or not any(word.on for word in self._trust.words().values()):
            return []
        return [each for each in self.shelf().plugins if each.state == "on"]

    def offered(self, hook: str) -> list[tuple[Plugin, Offer]]:
        """What those have for ``hook``, such as ``importers``; of two of one name the first is meant."""
        if not any(word.on and getattr(word.offers, hook) for word in self._trust.words().values()):
            return []  # nobody's files need to be looked at
        return [(each.plugin, offer) for each in self.on() for offer in getattr(each.offers, hook)]

    def off_with(self, hook: str, name: str) -> list[Listed]:
        """Those that do not run and had ``name`` for ``hook`` when they were enabled last."""
        words = self._trust.words()
        had = {each for each, word in words.items() if any(offer.name == name for offer in getattr(word.offers, hook))}
        return [each for each in self.shelf().plugins if each.name in had and each.state != "on"] if had else []

    def absent(self, hook: str) -> list[Absent]:
        """Those with something for ``hook`` that the person enabled and that do not run now; none that they disabled.

        Looks at no other file where nothing for ``hook`` was ever enabled.
        """
        words = {name: word for name, word in self._trust.words().items()
                 if getattr(word.offers, hook) and (word.on or word.why)}  # fmt: skip
        if not words:
            return []
        shelf = self.shelf()
        off = [(each.name, each.state, each.why) for each in shelf.plugins if each.state != "on"]
        found = [Absent(name, *(("safe", SAFE) if self.safe else (state, why)), getattr(words[name].offers, hook))
                 for name, state, why in off if name in words]  # fmt: skip
        broken = [Absent(each.path.name, "unusable", each.reason, getattr(words[each.path.name].offers, hook))
                  for each in shelf.problems if each.path.name in words and not self.safe]  # fmt: skip
        known = {each.name for each in shelf.plugins}
        lost = [each.path.name for each in shelf.gone if each.path.name in words]
        gone = [Absent(name, "gone", GONE, getattr(words[name].offers, hook)) for name in lost]
        return [*found, *(each for each in broken if each.name not in known), *([] if self.safe else gone)]

    def _listed(self, plugin: Plugin, word: Word | None) -> Listed:
        if word is None:
            return Listed(plugin, "off", "never enabled")
        if word.sha256 != plugin.content.sha256:
            why = "its files are others than those you enabled" if word.on else "never enabled as it is now"
            return Listed(plugin, "changed" if word.on else "off", why, word.offers if word.on else NOTHING)
        if word.on and not self.safe:
            return Listed(plugin, "on", "", word.offers)
        if word.on:
            return Listed(plugin, "off", SAFE, word.offers)
        return Listed(plugin, "switched off" if word.why else "off", word.why or "you disabled it", word.offers)

    # Agreeing

    def enable(self, name: str, agrees: Callable[[Listed], bool], taken: Taken) -> Listed | None:
        """Have the person agree to one as it is now, and run it once to learn what it has; None where they do not.

        ``taken`` are the names that lora-chat has itself, by hook.

        Raises:
            NotFoundError: there is none.
            RefusedError: it cannot be used, it breaks, or a name of its is taken.
        """
        listed = self.get(name)
        plugin = listed.plugin
        if self.safe:
            raise RefusedError(f"This is the safe mode, which runs no plugin: start without it to enable {name}.")
        if plugin.content.fault:
            raise RefusedError(f"{name} cannot run: {plugin.content.fault}; correct it, then enable it again.")
        if not agrees(listed):
            return None
        with self._at_work(name):
            self._end(name)
            try:
                offers = self._first_run(plugin)
                self._check_names(plugin, offers, taken)
                if not same_content(plugin.root, plugin.content.sha256):
                    raise RefusedError(f"The files of {name} changed while it was being enabled: look at it again.")
                self._trust.agree(plugin, offers)
            finally:
                self._end(name)
        return self.get(name)

    def disable(self, name: str) -> Listed | None:
        """Have one run no more; None of one that was enabled and whose files are gone. Raises as ``get``."""
        try:
            listed = self.get(name)
        except NotFoundError:
            if not ((word := self._trust.words().get(name)) and (word.on or word.why)):
                raise
            self._trust.switch_off(name, word.sha256)
            self._end(name)
            return None
        self._trust.switch_off(name, listed.plugin.content.sha256)
        self._end(name)
        return self.get(name)

    def _first_run(self, plugin: Plugin) -> Offers:
        try:
            return read_offers(self._process(plugin, anew=True))
        except (BrokenPlugin, ValueError) as broken:
            self._trust.switch_off(plugin.name, plugin.content.sha256, str(broken))
            raise RefusedError(f"{plugin.name} was not enabled: {broken}; it stays off.") from broken

    def _check_names(self, plugin: Plugin, offers: Offers, taken: Taken) -> None:
        for hook in (each.name for each in fields(Offers)):
            theirs = {offer.name: f"the plugin {other.name}" for other, offer in self.offered(hook)
                      if other.name != plugin.name}  # fmt: skip
            ours = dict.fromkeys(taken.get(hook, ()), "lora-chat itself")
            for offer in getattr(offers, hook):
                owner = (theirs | ours).get(offer.name)
                if owner:
                    raise RefusedError(
                        f"{plugin.name} was not enabled: its {called(hook, offer.name)} has a name that "
                        f"{owner} has already; rename it in the plugin."
                    )

    # Running

    def call(
        self,
        plugin: Plugin,
        kind: str,
        *rest: Any,
        limit_s: float,
        answers: Answers | None = None,
        cancel: threading.Event | None = None,
        lives: Lives | None = None,
    ) -> Generator[Any, None, Any]:
        """Have ``plugin`` do something and yield what comes of it; the generator's value is what came at the end.

        Left before its end, or once ``cancel`` is set, it ends the plugin's process. Who says nothing for ``limit_s``
        has broken, unless ``lives`` shows that it works.

        Raises:
            StoppedPlugin: ``cancel`` was set; it stays on.
            Broke: it broke and is switched off, with the reason.
            RefusedError: the plugin says no, or is at work.
        """
        with self._at_work(plugin.name):
            ended = False
            try:
                self._process(plugin, cancel=cancel)
                process = self._running[plugin.name]
                value = yield from process.call(
                    kind, *rest, limit_s=limit_s, answers=answers, cancel=cancel, lives=lives
                )
                ended = True
                return value
            except RefusedByPlugin as no:
                ended = True
                raise RefusedError(clean_line(str(no), 500) or f"The plugin {plugin.name} says no.") from no
            except BrokenPlugin as broken:
                raise Broke(self.break_off(plugin, str(broken)), str(broken)) from broken
            finally:
                if not ended:
                    self._end(plugin.name)

    @contextmanager
    def _at_work(self, name: str) -> Iterator[None]:
        """One thing at a time: a plugin that waits for the person's answer must not be asked another."""
        with self._lock:
            if name in self._busy:
                raise RefusedError(f"The plugin {name} is still at work: wait until it has ended.")
            self._busy.add(name)
        try:
            yield
        finally:
            self._busy.discard(name)

    def news(self) -> list[str]:
        """What became of plugins since this was last asked, one sentence each."""
        told, self._news = self._news, []
        return told

    def tell(self, sentence: str) -> None:
        """For ``news``."""
        self._news.append(sentence)

    def rest(self, name: str) -> None:
        """End its process, which is done with its work; the next call starts it again."""
        self._end(name)

    def close(self) -> None:
        """End their processes."""
        for name in list(self._running):
            self._end(name)

    def _process(self, plugin: Plugin, *, anew: bool = False, cancel: threading.Event | None = None) -> Any:
        """Start it if it does not run; what it registered, where it was started."""
        if plugin.name in self._running:
            return None
        if not anew and not self._still_agreed(plugin):
            raise BrokenPlugin("its files are others than those you enabled")
        process = self._running[plugin.name] = PluginProcess(plugin, self._paths.logs)
        return process.start(cancel)

    def _still_agreed(self, plugin: Plugin) -> bool:
        """Looked at in the moment before its code is read."""
        word = self._trust.words().get(plugin.name)
        return word is not None and word.on and same_content(plugin.root, word.sha256)

    def break_off(self, plugin: Plugin, why: str) -> str:
        """Switch it off for what it did; returns the sentence that says so."""
        self._end(plugin.name)
        with suppress(LoraChatError):  # a disk that takes nothing: it is off in this program at least
            self._trust.switch_off(plugin.name, plugin.content.sha256, why)
        return f"The plugin {plugin.name} is switched off: {why}; `lora-chat plugin enable {plugin.name}` has it again."

    def _end(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is not None:
            process.end()


def _gone(name: str) -> str:
    return (f"The plugin {name} was enabled, and {GONE}: put them back, or `lora-chat plugin disable {name}` has it "
            "forgotten.")  # fmt: skip


def facts(listed: Listed) -> Sequence[tuple[str, str]]:
    """What is known of a plugin without running it, for whoever shows it."""
    manifest, content = listed.plugin.manifest, listed.plugin.content
    files = f"{content.files:,} file{'' if content.files == 1 else 's'}"
    rows = [
        ("says", manifest.description or "nothing about itself"),
        ("version", manifest.version),
        ("by", ", ".join(manifest.authors)),
        ("licence", manifest.license),
        ("lies in", listed.plugin.place),
        ("is", f"{files} with {content.lines:,} lines of Python, {content.bytes:,} bytes"),
        ("hooks", ", ".join(content.hooks).replace("_", " ") or "none that can be seen in its source"),
        ("has", listed.offers.told),
        ("sha256", content.sha256),
        ("now", listed.state + (f": {listed.why}" if listed.why else "")),
    ]
    return [(name, clean_line(fact, 300)) for name, fact in rows if fact]
