"""An examination in full, for ``lora-chat report --ask``. Owns its engine and progress; what is asked is others'."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.paths import Paths
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
    from lora_chat.sitting.examination import examine_again

    with open_services() as services:
        adapter = services.adapters().get(name)
        if version not in (None, adapter.version):
            raise RefusedError(
                f"{name} {version} is not worn, and only what is worn can be asked: `lora-chat adapter rollback {name} "
                f"--to {version}` wears it."
            )
        record = _kept(adapter.name, adapter.version, services.paths)  # before a model is loaded
        base = base_for(services.paths, "", adapter.base_model)
        refuse_another_base(adapter, base, services, "It is examined")
        with cancelled_by_ctrl_c() as cancel:
            with progress_bar() as progress:
                parts = examine_again(adapter, services.own_engine_here(base), services.paths, cancel)
                while True:
                    try:
                        progress(f"Examining {adapter.name}", next(parts), 1.0)
                    except StopIteration as end:
                        asked: Record = end.value
                        record = asked
                        break
            if cancel.is_set():
                raise Interrupted("Stopped; what was asked so far is kept.")
        return record


def _kept(name: str, version: str, paths: Paths) -> Record:
    """Its report; of what was trained before there were any, what to do."""
    from lora_chat.errors import NotFoundError
    from lora_chat.sitting.examination import kept_report
    from lora_chat.training.proof.line import Line

    try:
        return kept_report(name, version, paths)
    except NotFoundError as error:
        if not Line.of(name, paths).lessons(version):
            raise
        raise NotFoundError(
            f"{name} {version} was trained before lora-chat kept reports: teach it more once, `lora-chat train "
            f"from-history --continue {name}`, and its next version has one, with all that was taught."
        ) from error
