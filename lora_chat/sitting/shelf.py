"""What the commands for the shelf of adapters do: removing, bringing back, rolling back, verifying, packing.

Owns their words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lora_chat.adapters import removal
from lora_chat.adapters.verify import check_fit, check_hashes, read_manifest_of
from lora_chat.adapters.versions import make_current, previous, versions
from lora_chat.adapters.weights import read_adapter
from lora_chat.engine.effects import told
from lora_chat.engine.protocol import Worn
from lora_chat.errors import RefusedError
from lora_chat.models.answering import Served, base_of
from lora_chat.sitting.arrival import Against, check_finite, look_at, settle
from lora_chat.sitting.departure import pack
from lora_chat.sitting.history import row_of
from lora_chat.text import clean_line

if TYPE_CHECKING:
    from lora_chat.adapters.manifest import Manifest
    from lora_chat.adapters.verify import Verdict
    from lora_chat.adapters.weights import AdapterFiles
    from lora_chat.engine.protocol import Probe
    from lora_chat.sitting.sitting import Sitting


def adapter_install(sitting: Sitting, source: str) -> None:
    """Check an adapter against the base at hand, show what it is and does, and install it."""
    paths = sitting.services.paths
    arrival = look_at(source, paths, lambda candidate: _against(sitting), _noting(sitting))
    done = settle(arrival, paths, sitting.face)
    if done is None:
        sitting.face.note("Nothing was installed.")
        return
    if arrival.base and not done.already:
        sitting.has_agreed_to(done.adapter)
    how = "is already installed, with the same bytes" if done.already else "is installed"
    sitting.face.note(f"{done.adapter.name} {how}: /adapter use {done.adapter.name}")
    sitting.face.changed()


def _against(sitting: Sitting) -> Against | None:
    """The base at hand, as this machine has it: a server may wear only what it was started with."""
    who = sitting.answerer
    base = base_of(who) or (sitting.base if isinstance(who, Served) and not who.is_met else None)
    if base is None:
        return None
    return Against(base, sitting.services.own_engine_beside(sitting.engine, base).probe)


def _noting(sitting: Sitting) -> Callable[[str, float, float], None]:
    """Progress as one sentence for each thing that takes long, and none for each step of it."""
    said: set[str] = set()

    def tell(what: str, done: float, total: float) -> None:
        if what not in said:
            said.add(what)
            sitting.face.note(f"{what} …")

    return tell


def adapter_remove(sitting: Sitting, name: str) -> None:
    """Take an adapter away; the chat that wears it goes on on the base."""
    removal.remove(name, sitting.services.paths)
    shown = clean_line(name, 60)
    base = " The base answers." if sitting.take_off(name) else ""
    back = f"/adapter restore {shown} brings it back, for {removal.KEPT_HOURS} hours."
    sitting.face.note(f"{shown} is removed: {back}{base}")
    sitting.face.changed()


def adapter_restore(sitting: Sitting, name: str) -> None:
    """Bring back what was removed."""
    folder = removal.restore(name, sitting.services.paths)
    shown = clean_line(folder.name, 60)
    broken = next((each.reason for each in sitting.services.adapters().problems if each.path == folder), "")
    sitting.face.note(f"{shown} is back. {broken}" if broken else f"{shown} is back: /adapter use {shown}")
    sitting.face.changed()


def adapter_history(sitting: Sitting, name: str) -> None:
    """Show the versions of an adapter, by default of the one worn, the newest first."""
    called, paths = name or sitting.meant("", "/adapter history").name, sitting.services.paths
    found = versions(called, paths)
    sitting.face.details(f"Versions of {called}", [row_of(version, paths) for version in reversed(found)])


def adapter_rollback(sitting: Sitting, rest: str) -> None:
    """Wear an earlier version, or the one that is named; a chat that wears the adapter goes on with it."""
    name, _, number = rest.partition(" ")
    paths = sitting.services.paths
    number = number.strip() or previous(name, paths).number
    worn = next((each.number for each in versions(name, paths) if each.current), "")
    now = make_current(name, number, paths)
    if now.number == worn:
        sitting.face.note(f"{name} {worn} is worn already.")
        return
    sitting.look_after_what_is_worn()
    back = f" {worn} is kept: /adapter rollback {name} {worn} wears it again." if worn else ""
    sitting.face.note(f"{name} is {now.number} now.{back}")
    sitting.face.changed()


def adapter_pack(sitting: Sitting, name: str) -> None:
    """Write an adapter, by default the one worn, as one archive to hand on, into the folder the program runs in."""
    adapter = sitting.meant(name, "/adapter pack")
    target = pack(adapter, None, sitting.face)
    told = f"{adapter.name} is packed in {target.absolute()}" if target else "Nothing was written."
    sitting.face.note(clean_line(told, 300))


def adapter_verify(sitting: Sitting, name: str) -> None:
    """Read every byte of an adapter, by default the one worn, hold it against the base, measure what it changes."""
    adapter = sitting.meant(name, "/adapter verify")
    files, manifest = read_adapter(adapter.path), read_manifest_of(adapter.path)
    check_hashes(files, manifest)
    base = sitting.base_here()
    verdict = check_fit(files, base.signature, manifest)
    if not verdict.ok:
        raise RefusedError(verdict.reason)
    own = sitting.services.own_engine_beside(sitting.engine, base)
    probe = own.probe(Worn(adapter.name, adapter.path, files.sha256))
    check_finite(adapter.name, probe)
    sitting.face.details(f"{adapter.name} is sound", _report(base.name, files, manifest, verdict, probe))
    sitting.face.changed()


def _report(
    base: str, files: AdapterFiles, manifest: Manifest | None, verdict: Verdict, probe: Probe
) -> list[tuple[str, str]]:
    installed = "as they were installed" if manifest and manifest.weights.sha256 else "nothing to hold them against"
    return [
        ("fit", f"fits {base}"),
        ("modules", f"{probe.modules_matched:,} of {probe.modules_total:,}"),
        ("effect", told(probe.effect)),
        ("bytes", f"{len(files.weights):,}, {installed}"),
        ("sha256", files.sha256),
        *[("mind", clean_line(warning, 300)) for warning in verdict.warnings],
    ]
