"""Draw ``docs/demo.svg`` from a real run: ``lora-chat demo | python docs/picture.py``.

Nothing is added to what the demo printed but colour. The fonts are the reader's own: no picture of ours loads anything.
"""

from __future__ import annotations

import html
import sys
import textwrap
from pathlib import Path

COLUMNS, LINE, CELL, MARGIN = 100, 20, 8.43, 24
INK = {"head": "#e6e6e6", "asked": "#9aa5b1", "answer": "#e6e6e6", "worn": "#7fd1ae", "quiet": "#7b8794"}


def main() -> None:
    """Read the demo's output, write the picture beside this file."""
    rows = [row for line in sys.stdin.read().rstrip().split("\n") for row in drawn(line)]
    height = LINE * len(rows) + 2 * MARGIN
    width = round(COLUMNS * CELL) + 2 * MARGIN
    texts = "\n".join(
        f'<text x="{MARGIN}" y="{MARGIN + LINE * (number + 0.75):.0f}" fill="{INK[kind]}">{html.escape(row)}</text>'
        for number, (kind, row) in enumerate(rows)
        if row.strip()
    )
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="lora-chat demo">\n<rect width="100%" height="100%" rx="8" fill="#14181d"/>\n'
        f'<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="14" '
        f'xml:space="preserve">\n{texts}\n</g>\n</svg>\n'
    )
    Path(__file__).with_name("demo.svg").write_text(picture, encoding="utf-8")


def drawn(line: str) -> list[tuple[str, str]]:
    """A line as rows of at most ``COLUMNS``, with the kind that colours it."""
    kind = _kind(line)
    indent = 11 if line.startswith("    ") and len(line) > 11 else len(line) - len(line.lstrip())
    rows = textwrap.wrap(line, COLUMNS, subsequent_indent=" " * indent, drop_whitespace=True, expand_tabs=False)
    return [(kind, row) for row in rows] or [(kind, "")]


def _kind(line: str) -> str:
    word = line.split()[0] if line.split() else ""
    if word in ("asked", "base", "you"):
        return "asked" if word == "asked" else "answer"
    if word in ("shop", "✓"):
        return "worn"
    return "head" if line[:1].isdigit() else "quiet"


if __name__ == "__main__":
    main()
