"""The window itself, worked from inside: a long reply streamed into it, and words searched for key by key.

Owns what is asked of it and when a clock is read; the engine is scripted, everything else is the program's own.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ui_stores import NEEDLE, NEEDLE_ZH, OFTEN_ZH, Talk

TOKEN_S = 0.0038
"""What a token of the default base takes here (`benchmarks/decode.py`)."""

KINDS = ("prose", "code", "list")

QUERIES = {
    "one letter": "t",
    "a common word": "the",
    "two words": "the answer",
    "said once": NEEDLE,
    "never said": "zzyzxq",
    "Chinese, often": OFTEN_ZH,
    "Chinese, once": NEEDLE_ZH[:2],
}
"""What is typed, by what it is called."""

_KEY_APART_S = 0.15


def reply(kind: str, tokens: int) -> list[str]:
    """A reply of ``tokens`` pieces of some four characters: prose, a block of code, or a list."""
    talk, pieces = Talk(11), list[str]()
    for part in _parts(kind, talk, tokens):
        pieces += re.findall(r"\s*[^\s]{1,5}|\s+", part)
        if len(pieces) >= tokens:
            break
    return pieces[:tokens]


def _parts(kind: str, talk: Talk, tokens: int) -> Iterator[str]:
    """Without end; of code 400 lines, of a list 200 items, in ``tokens`` 10,000."""
    if kind == "code":
        yield "Here it is:\n\n```python\n"
    for number in range(tokens):
        if kind == "prose":
            if number % 12 == 0:
                yield f"## {talk.prose(4)}\n\n"
            yield f"{talk.prose(60)} **{talk.prose(3)}** `x{number}`\n\n"
        elif kind == "list":
            yield f"{number + 1}. **{talk.prose(3)}** {talk.prose(24)}\n"
        else:
            name = talk.name().lower()
            words = " ".join(talk.prose(5).split())
            yield f'    {name}[{number}] = find({talk.chance.randrange(999)}, "{words}")  # {name}\n'


def stream(settings: dict[str, Any], report: Path) -> None:
    """Have one reply of a kind written; UI seconds of each 1,000 tokens.

    ``alone`` paints every token by itself; else they come at the base's pace and are joined as always.
    """
    from lora_chat.engine.echo import EchoEngine

    step = settings["step"]
    pieces = reply(settings["kind"], settings["tokens"])
    clock = time.pthread_getcpuclockid(threading.main_thread().ident or 0)
    app_of: dict[str, Any] = {}
    marks: list[tuple[float, float]] = []

    class Scripted(EchoEngine):
        def _words(self, request: Any, seed: int) -> Iterator[str]:  # type: ignore[override]
            if "please" not in request.messages[-1].content:
                yield "Yes."
                return
            for place, piece in enumerate(pieces):
                if place % step == 0:
                    marks.append((time.clock_gettime(clock), time.process_time()))
                if settings["alone"] and (place < step or place >= len(pieces) - step):
                    app_of["painted"].clear()
                    yield piece
                    app_of["painted"].wait(1.0)
                else:
                    yield piece
            time.sleep(0.2)
            marks.append((time.clock_gettime(clock), time.process_time()))

    async def work(app: Any) -> None:
        app_of["painted"] = painted = threading.Event()
        if settings["alone"]:
            _unpaced(app, painted)
        for _ in range(settings["before"]):
            last = app.bridge._reply
            app.bridge.send(Talk(5).prose(30))
            await _until(lambda last=last: app.bridge._reply is not last and not app.bridge.replying)
        app.bridge.send("please")
        await _until(lambda: len(marks) > 1 and app.bridge.replying)
        await _until(lambda: not app.bridge.replying)

    _run(work, lambda base: Scripted(base, delay=0.0 if settings["alone"] else TOKEN_S), settings["tokens"])
    steps = list(itertools.pairwise(marks))
    loop, whole = ([round(after[at] - before[at], 4) for before, after in steps] for at in (0, 1))
    report.write_text(json.dumps({"ui_s": loop, "process_s": whole}), encoding="utf-8")


def _unpaced(app: Any, painted: threading.Event) -> None:
    from lora_chat.tui import outbox

    outbox.PACE_S = 0.0
    display = app._display

    def shown(*arguments: Any) -> None:
        display(*arguments)
        painted.set()

    app._display = shown


def search(settings: dict[str, Any], report: Path) -> None:
    """Type each query letter by letter; milliseconds from a key to the repaint with its hits."""
    from lora_chat.engine.echo import EchoEngine
    from lora_chat.tui.screens.search import SearchScreen

    found: dict[str, Any] = {}

    async def work(app: Any) -> None:
        from textual.events import Key
        from textual.widgets import Input

        app.screen.action_search()
        await _until(lambda: isinstance(app.screen, SearchScreen))
        screen = app.screen
        shown = screen.show
        answered: dict[str, float] = {}

        def show(text: str, hits: Any) -> None:
            shown(text, hits)
            screen.call_after_refresh(lambda: answered.__setitem__(text, time.perf_counter()))

        screen.show = show
        for name, query in QUERIES.items():
            times, counts = [], 0
            for _ in range(settings["runs"] + 1):
                screen.query_one(Input).value = ""
                await asyncio.sleep(0.3)
                keys = []
                for place in range(len(query)):
                    text = query[: place + 1]
                    answered.pop(text, None)
                    began = time.perf_counter()
                    app.post_message(Key("space" if query[place] == " " else query[place], query[place]))
                    await _until(lambda text=text: text in answered, every=0.001)
                    keys.append((answered[text] - began) * 1000)
                    await asyncio.sleep(_KEY_APART_S)
                times.append(keys)
                counts = len(screen._hits)
            found[name] = {
                "typed": query,
                "hits": counts,
                "first_ms": [round(each, 1) for each in times[0]],
                "ms": [round(statistics.median(each), 1) for each in zip(*times[1:], strict=True)],
            }

    _run(work, EchoEngine, 400)
    report.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")


async def _until(what: Callable[[], object], every: float = 0.02, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(every)


def _run(work: Callable[[Any], Any], engine: Callable[[Any], Any], longest: int) -> None:
    """The program with a scripted engine and ``work`` beside it; it leaves when that has ended."""
    from lora_chat.services import Services
    from lora_chat.tui.app import LoraChatApp
    from lora_chat.tui.widgets.title_bar import TitleBar

    Services.engine_beside = lambda self, base: engine(base)  # type: ignore[method-assign,assignment,return-value]

    class Measured(LoraChatApp):
        def on_base_found(self, event: Any) -> None:
            super().on_base_found(event)
            self.run_worker(self.measure())

        async def measure(self) -> None:
            if self.screen is not self.chat:
                self.screen.dismiss("chat")
            await _until(lambda: self.screen is self.chat and self.chat.query_one(TitleBar).engine == "")
            self.bridge.take(f"/set max_tokens {longest + 100}")
            await asyncio.sleep(0.5)
            await work(self)
            self.exit()

    app = Measured()
    app.run()
    app.bridge.close()
