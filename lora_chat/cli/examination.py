"""An examination in full, for ``lora-chat report --ask``. Owns its engine and progress; what is asked is others'."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.training.report.record import Record


def examine(name: str, version: str | None = None) -> Record:
    """Ask the worn version of ``name`` all there is to ask, and keep it in its report.

    Raises:
        NotFoundError: there is no such adapter, no report of it, or no check.
        RefusedError: ``version`` is meant and is not worn, or its base is not the one it was made for.
        Interrupted: Ctrl+C; what was asked until then is kept.
        LoraChatError: as ``examine_again``.
    """
    from lora_chat.cli.adapter.places import base_for
    from lora_chat.cli.ask import cancelled_by_ctrl_c
    from lora_chat.cli.console import progress_bar
    from lora_chat.errors import Interrupted, RefusedError
    from lora_chat.services import open_services
    from lora_chat.sitting.checking import refuse_another_base
    from lora_chat.sitting.examination import examine_again, kept_report

    with open_services() as services:
        adapter = services.adapters().get(name)
        if version not in (None, adapter.version):
            raise RefusedError(
                f"{name} {version} is not worn, and only what is worn can be asked: `lora-chat adapter rollback {name} "
                f"--to {version}` wears it."
            )
        kept_report(adapter.name, adapter.version, services.paths)  # before a model is loaded
        base = base_for(services.paths, "", adapter.base_model)
        refuse_another_base(adapter, base, services, "It is examined")
        with cancelled_by_ctrl_c() as cancel:
            with progress_bar() as progress:
                parts = examine_again(adapter, services.engine_here(base), services.paths, cancel)
                for part in parts:
                    progress(f"Examining {adapter.name}", part, 1.0)
            if cancel.is_set():
                raise Interrupted("Stopped; what was asked so far is kept.")
        return kept_report(adapter.name, adapter.version, services.paths)
