"""The colours. Owns the themes and the adapters' own colours; never decides where a colour is used."""

from __future__ import annotations

import hashlib

from textual.color import Color
from textual.theme import Theme

_ACCENTS = (
    ("#f28f8a", "#a8322d"),  # red
    ("#f09d6b", "#9a4a10"),  # orange
    ("#d9b45b", "#7a5b00"),  # amber
    ("#aec561", "#566600"),  # olive
    ("#7ccb83", "#2a6e33"),  # green
    ("#5fcab4", "#0b6b5a"),  # teal
    ("#66c3e0", "#0a6581"),  # cyan
    ("#8db4f5", "#2f5cab"),  # blue
    ("#b8a4f2", "#6a48b0"),  # violet
    ("#ea95c8", "#98316f"),  # pink
)
"""Ten hues, each (on dark, on light); every pair keeps 4.5:1 on background, surface and panel."""


def accent_of(name: str, dark: bool) -> str:
    """Return the adapter's own colour as ``#rrggbb``: the same for the same name on every machine and every day."""
    hue = int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:4], "big") % len(_ACCENTS)
    return _ACCENTS[hue][0 if dark else 1]


def accent_in(name: str, theme: Theme) -> str:
    """The same within ``theme``: lighter where contrast is high, none where there are no colours."""
    if theme.name == MONO.name:
        return theme.variables["text"]
    own = accent_of(name, theme.dark)
    return Color.parse(own).blend(Color.parse("#ffffff"), 0.45).hex if theme.name == CONTRAST.name else own


def _theme(
    name: str,
    *,
    dark: bool,
    grounds: tuple[str, str, str],
    lifted: str,
    texts: tuple[str, str, str],
    rule: str,
    primary: str,
    warning: str,
    error: str,
    success: str,
    secondary: str = "",
) -> Theme:
    """``grounds`` are background, surface and panel, ``texts`` plain, muted and faint; secondary is muted too."""
    background, surface, panel = grounds
    text, muted, _ = texts
    return Theme(
        name=name,
        primary=primary,
        secondary=secondary or muted,
        accent=primary,
        warning=warning,
        error=error,
        success=success,
        foreground=text,
        background=background,
        surface=surface,
        panel=panel,
        dark=dark,
        variables=_variables(
            background, texts, rule, lifted, primary=primary, warning=warning, error=error, success=success
        ),
    )


def _variables(background: str, texts: tuple[str, str, str], rule: str, lifted: str, **named: str) -> dict[str, str]:
    """Every derived colour that would otherwise be a tint of ``primary``: one text, one muted text, one rule."""
    text, muted, faint = texts
    return {
        "text": text,
        "text-muted": muted,
        "text-disabled": faint,
        **{f"text-{name}": colour for name, colour in named.items()},
        "foreground-muted": muted,
        "foreground-disabled": faint,
        "rule": rule,
        "border": muted,
        "border-blurred": rule,
        "scrollbar": rule,
        "scrollbar-hover": faint,
        "scrollbar-active": muted,
        "scrollbar-background": background,
        "scrollbar-background-hover": background,
        "scrollbar-background-active": background,
        "scrollbar-corner-color": background,
        "block-cursor-background": lifted,
        "block-cursor-foreground": text,
        "block-cursor-blurred-background": background,
        "block-cursor-blurred-foreground": text,
        "block-hover-background": lifted,
        "footer-background": background,
        "footer-foreground": muted,
        "footer-key-foreground": text,
        "footer-description-foreground": muted,
        "input-cursor-background": text,
        "input-cursor-foreground": background,
        "input-selection-background": f"{muted} 40%",
        "screen-selection-background": f"{muted} 40%",
    }


DARK = _theme(
    "lora-dark",
    dark=True,
    grounds=("#15171b", "#1e2126", "#262a31"),
    lifted="#262a31",
    texts=("#dcdfe4", "#979eaa", "#6b727e"),
    rule="#343942",
    secondary="#9aa1ad",
    primary="#8db4f5",
    warning="#d9b45b",
    error="#f28f8a",
    success="#7ccb83",
)

LIGHT = _theme(
    "lora-light",
    dark=False,
    grounds=("#fcfbf9", "#f3f2ef", "#eae8e4"),
    lifted="#eae8e4",
    texts=("#24262b", "#5f646d", "#8d929b"),
    rule="#d6d3cd",
    primary="#2f5cab",
    warning="#7a5b00",
    error="#a8322d",
    success="#2a6e33",
)

CONTRAST = _theme(
    "lora-contrast",
    dark=True,
    grounds=("#000000", "#1c1c1c", "#2a2a2a"),
    lifted="#003a6b",
    texts=("#ffffff", "#dcdcdc", "#bebebe"),
    rule="#8a8a8a",
    primary="#a8ccff",
    warning="#ffd75f",
    error="#ffb3ae",
    success="#9cf09c",
)
"""Every text keeps 7:1 on every ground (WCAG 2.1, AAA)."""

MONO = _theme(
    "lora-mono",
    dark=True,
    grounds=("#000000", "#1c1c1c", "#262626"),
    lifted="#4a4a4a",
    texts=("#ffffff", "#c8c8c8", "#9a9a9a"),
    rule="#6a6a6a",
    primary="#ffffff",
    warning="#ffffff",
    error="#ffffff",
    success="#ffffff",
)
"""Black, white and greys; with ``NO_COLOR`` not even those."""

ALL = {"dark": DARK, "light": LIGHT, "contrast": CONTRAST, "mono": MONO}
"""By the names that the settings use."""
