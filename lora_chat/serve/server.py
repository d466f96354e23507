"""The server from start to end. Owns uvicorn and the order in which things begin and stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from lora_chat.config import Precision
from lora_chat.defects import record
from lora_chat.errors import Interrupted
from lora_chat.models.answering import Answerer
from lora_chat.models.installed import InstalledBase
from lora_chat.serve.app import build_app
from lora_chat.serve.front import Front
from lora_chat.serve.guard import Guard
from lora_chat.serve.queue import Queue
from lora_chat.serve.shelf import Shelf
from lora_chat.services import Services


def run(
    services: Services,
    base: InstalledBase | None,
    who: Answerer,
    precision: Precision | None,
    door: socket.socket,
    guard: Guard,
    say: Callable[[str], None],
) -> None:
    """Answer at ``door`` until interrupted; the engine loads meanwhile. ``who`` answers: ``base``, or a server's model.

    Raises:
        LoraChatError: the engine cannot be loaded.
        Interrupted: Ctrl+C, once the answer that was being written has ended; the second time at once.
    """
    queue = Queue(lambda: services.engine_here(base, precision), who.window, lambda: loaded())
    shelf = Shelf(services, who, say)
    app = build_app(shelf, queue, services.config, lambda error: say(record(error)))
    server = _Server(Front(app, guard, say), queue, say)

    def loaded() -> None:
        if queue.info is None:
            server.should_exit = True
        else:
            say(f"Ready: {who.name}, {queue.info.decoding}.")

    queue.start()
    try:
        server.run(sockets=[door])
    except KeyboardInterrupt:  # uvicorn raises the signals that it took again, where they are not ignored
        server.interrupted = True
    finally:
        if queue.is_loading:
            services.abandon()
        queue.end()
    if server.interrupted:
        raise Interrupted("Interrupted.")
    if queue.failure is not None:
        raise queue.failure


class _Server(uvicorn.Server):
    """uvicorn that says nothing itself, and lets nobody wait for an answer that will not come."""

    def __init__(self, app: Front, queue: Queue, say: Callable[[str], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_config=None, log_level="critical", access_log=False, lifespan="off", ws="none", http="h11",
                loop="asyncio", proxy_headers=False, server_header=False,
            )
        )  # fmt: skip
        self._queue = queue
        self._say = say
        self.interrupted = False
        """Whether Ctrl+C ended it."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal."""
        self.interrupted = self.interrupted or sig == signal.SIGINT
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell those who wait, then let the running answer end."""
        if self._queue.is_busy:
            self._say("Ending after the answer that is being written; Ctrl+C again ends at once.")
        self._queue.close()
        await super().shutdown(sockets)
