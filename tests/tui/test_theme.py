"""The colours can be read, and an adapter's is its own."""

from __future__ import annotations

import pytest
from textual.theme import Theme

from lora_chat.config import THEMES
from lora_chat.tui.theme import ALL, CONTRAST, DARK, LIGHT, MONO, accent_in, accent_of

AA, AAA = 4.5, 7.0
NAMES = [f"adapter-{number}" for number in range(200)]


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def grounds(theme: Theme) -> list[str]:
    found = [theme.background, theme.surface, theme.panel]
    return [each for each in found if each is not None]


@pytest.mark.parametrize("theme", ALL.values(), ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", ["text", "text-muted", "text-error", "text-warning", "text-success", "text-primary"])
def test_text_can_be_read_on_every_ground(theme: Theme, name: str) -> None:
    assert min(contrast(theme.variables[name], ground) for ground in grounds(theme)) >= AA


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_every_accent_can_be_read_on_every_ground(theme: Theme) -> None:
    accents = {accent_of(name, theme.dark) for name in NAMES}
    assert len(accents) == 10
    assert min(contrast(accent, ground) for accent in accents for ground in grounds(theme)) >= AA


@pytest.mark.parametrize("theme", [CONTRAST, MONO], ids=lambda theme: theme.name)
def test_in_high_contrast_every_text_keeps_seven_to_one(theme: Theme) -> None:
    texts = {name: colour for name, colour in theme.variables.items() if name.startswith(("text", "footer-", "fore"))}
    texts = {name: colour for name, colour in texts.items() if "background" not in name}
    if theme is MONO:
        texts = {name: colour for name, colour in texts.items() if "disabled" not in name}
    assert len(texts) >= 9
    lifted = [theme.variables["block-hover-background"], theme.variables["block-cursor-background"]]
    for name, colour in texts.items():
        assert min(contrast(colour, ground) for ground in grounds(theme)) >= AAA, name
    assert min(contrast(theme.variables["text"], ground) for ground in lifted) >= AAA
    accents = {accent_in(name, theme) for name in NAMES}
    assert len(accents) == (10 if theme is CONTRAST else 1)
    assert min(contrast(accent, ground) for accent in accents for ground in [*grounds(theme), *lifted]) >= AAA


def test_the_monochrome_theme_has_no_hue() -> None:
    own = (MONO.primary, MONO.secondary, MONO.warning, MONO.error, MONO.success, MONO.accent, MONO.foreground)
    for colour in [*own, *MONO.variables.values(), *grounds(MONO)]:
        assert colour is not None
        red, green, blue = (colour[at : at + 2] for at in (1, 3, 5))
        assert red == green == blue, colour


def test_an_adapter_keeps_its_colour_on_every_machine() -> None:
    assert accent_of("support-bot", dark=True) == "#f09d6b"
    assert accent_of("support-bot", dark=False) == "#9a4a10"
    assert accent_of("pirate-2", dark=True) == "#b8a4f2"


def test_any_name_has_a_colour() -> None:
    for name in ("", "\ud800", "日本語", "x" * 5000):
        assert accent_of(name, dark=True).startswith("#")


def test_the_names_are_those_the_settings_use() -> None:
    assert (LIGHT.name, LIGHT.dark, DARK.name, DARK.dark) == ("lora-light", False, "lora-dark", True)
    assert tuple(ALL) == THEMES
