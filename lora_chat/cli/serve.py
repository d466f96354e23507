"""``lora-chat serve``: an OpenAI-compatible server. Owns the flags; the server itself is ``serve``'s."""

from __future__ import annotations

from typing import Annotated

import typer

from lora_chat.cli import names
from lora_chat.config import Precision

PACKAGES = ("fastapi", "uvicorn")
KEY = "LORA_CHAT_API_KEY"


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Listen here; 0 takes a free one.")] = 8642,
    host: Annotated[str, typer.Option(help="Address to listen on; one that others reach wants a key.")] = "127.0.0.1",
    model: Annotated[str | None, typer.Option("--model", "-m", help="Base model.", autocompletion=names.bases)] = None,
    precision: Annotated[Precision | None, typer.Option(help="Decode in this; auto is as good and fastest.")] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar=KEY, help="Answer only who sends this as the bearer token.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Pull a missing base model without asking.")] = False,
) -> None:
    """Answer programs that speak OpenAI's API, at http://127.0.0.1:8642/v1."""
    from lora_chat.cli.console import note
    from lora_chat.cli.model import base_to_answer
    from lora_chat.engine.factory import ctrl_c_waits
    from lora_chat.services import open_services

    _check_installed()
    with ctrl_c_waits():  # raised where fastapi makes its classes, it comes out as another error
        from lora_chat.serve.guard import Guard, check_key, listen
        from lora_chat.serve.server import run

    check_key(host, api_key)
    with open_services() as services:
        base = base_to_answer(services, model, yes=yes)
        if services.is_served:
            services.engine_here(base, precision)
        who = services.answerer(base)
        with listen(host, port) as door:
            shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
            note(f"http://{shown}:{door.getsockname()[1]}/v1 serves {who.name} and its adapters; Ctrl+C ends it.")
            run(services, base, who, precision, door, Guard(host, api_key), note)


def _check_installed() -> None:
    """Refuse without the extra, whose packages nothing else here needs."""
    from importlib.util import find_spec

    from lora_chat.errors import RefusedError

    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise RefusedError(
            f"The server needs {' and '.join(missing)}, which lora-chat's extra called serve brings: "
            f"run `pip install {' '.join(PACKAGES)}` where lora-chat is installed."
        )
