"""What a person reads before an adapter is installed. Owns the rows; the command line and the chat draw them."""

from __future__ import annotations

from lora_chat.adapters.install import Candidate
from lora_chat.text import clean_line


def preview(candidate: Candidate, base: str, effect: str, weights: str = "") -> list[tuple[str, str]]:
    """Each fact with its name; ``base`` is what it was held against, empty for none, and ``effect`` is in words.

    ``weights`` is the hash of that base's weights.
    """
    manifest, files, layout = candidate.manifest, candidate.files, candidate.files.layout
    rows = [
        ("adapter", f"{manifest.name} {manifest.version}"),
        ("says", manifest.description or "nothing about itself"),
        ("base", f"{manifest.base.model or 'not said'}; {_fit(candidate, base)}"),
        ("made on", _made_on(manifest.base.weights, weights)),
        ("rank", f"{layout.rank} on {', '.join(layout.targets)}"),
        ("size", f"{layout.parameters:,} parameters, {len(files.weights):,} bytes"),
        ("sha256", files.sha256),
        ("licence", manifest.license or "not said"),
        ("effect", effect),
        ("left out", _left_out(candidate.ignored)),
        *(("mind", warning) for warning in candidate.warnings),
    ]
    return [(name, clean_line(fact, 300)) for name, fact in rows if fact]


def _fit(candidate: Candidate, base: str) -> str:
    if candidate.fit is None:
        return "not checked: no base model is on this machine"
    return f"fits {base}, {candidate.fit.modules_matched} of {candidate.fit.modules_total} modules"


def _made_on(theirs: str, here: str) -> str:
    """The hash of the weights it was made on: a converted copy of the same base has another, so it decides nothing."""
    if not theirs or not here:
        return theirs and f"weights {theirs}"
    return f"weights {theirs}, as here" if theirs == here else f"weights {theirs}; here they are {here}"


def _left_out(names: tuple[str, ...]) -> str:
    return f"{len(names):,}: {', '.join(names)}" if names else ""
