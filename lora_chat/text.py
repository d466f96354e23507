"""Foreign text made harmless. Owns the one cleaning function; everything shown or stored from outside passes it.

Removed are the characters that can steer a terminal or deceive the eye: C0 and C1 controls (ESC begins CSI and OSC),
bidirectional overrides (CVE-2021-42574), tag and other invisible format characters, NUL and lone surrogates.
"""

from __future__ import annotations

import re

# Zero-width joiner and non-joiner stay: emoji sequences and several scripts need them.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def clean(text: str) -> str:
    """Return ``text`` without control, bidi-override, tag and surrogate characters; newline and tab stay."""
    return _HARMFUL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def clean_line(text: str, longest: int = 0) -> str:
    """Return ``text`` cleaned and on one line; ``longest`` > 0 cuts it there with an ellipsis."""
    line = " ".join(clean(text).split())
    return line[: longest - 1] + "…" if longest and len(line) > longest else line


def spelt(value: object) -> str:
    """``repr``, also of what that refuses: a number of more than 4,300 digits, which TOML holds in hex, or lists
    nested too deep.
    """
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return hex(value) if isinstance(value, int) else "what is too long to be written"
