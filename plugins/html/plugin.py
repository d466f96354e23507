"""Conversations as one HTML page. Owns how it looks; never lets what was said be more than text.

The page has no script and loads nothing. Markdown is drawn with HTML and pictures off; a link stays where it is http.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from html import escape

from markdown_it import MarkdownIt

from lora_chat.plugins.api import ExporterRegistrar, SavedConversation, SavedMessage, hookimpl

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --ink: #24211d; --soft: #6f6a62; --line: #e4dfd6; --asked: #efebe3;
  --mark: #8a5a12; --code: #f2eee6; }
@media (prefers-color-scheme: dark) { :root { --paper: #191816; --ink: #e8e4dc; --soft: #9b958a; --line: #35322d;
  --asked: #262420; --mark: #e0ac5c; --code: #23211e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 17px/1.6 system-ui, sans-serif; }
main { max-width: 44rem; margin: 0 auto; padding: 3rem 1.25rem 6rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
.when, .who, .system { color: var(--soft); font-size: .82rem; }
.system { border-left: 3px solid var(--line); padding-left: .9rem; margin: 1.25rem 0; white-space: pre-wrap; }
article { margin: 1.5rem 0; overflow-wrap: anywhere; }
article.user { background: var(--asked); border-radius: .9rem; padding: .8rem 1.1rem; margin-left: 12%; }
.who { margin: 0 0 .3rem; font-weight: 600; }
.who b { color: var(--mark); font-weight: 600; }
article p, article ul, article ol { margin: .5rem 0; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem;
  overflow-x: auto; font: 14px/1.5 ui-monospace, monospace; overflow-wrap: normal; }
code { font-family: ui-monospace, monospace; font-size: .9em; background: var(--code); border-radius: .3rem;
  padding: .1em .3em; }
pre code { background: none; padding: 0; font-size: inherit; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: .8rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .9rem .35rem 0; text-align: left; vertical-align: top; }
blockquote { margin: .6rem 0; padding-left: .9rem; border-left: 3px solid var(--line); color: var(--soft); }
a { color: var(--mark); }
section + section { border-top: 1px solid var(--line); margin-top: 3.5rem; padding-top: 3rem; }
@media print { article { break-inside: avoid; } }
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@hookimpl
def lora_chat_exporters(registrar: ExporterRegistrar) -> None:
    """One format."""
    registrar.add("html", ".html", write, "one page for any browser")


def write(conversations: Iterator[SavedConversation]) -> Iterator[str]:
    """A page with a section for each."""
    draw = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")
    draw.validateLink = lambda url: url.startswith(("http://", "https://", "mailto:"))  # type: ignore[method-assign]
    first = next(conversations)
    yield (
        '<!DOCTYPE html>\n<html lang="">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(first.title or first.id)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )
    yield from section(first, draw)
    for each in conversations:
        yield from section(each, draw)
    yield "</main>\n</body>\n</html>\n"


def section(conversation: SavedConversation, draw: MarkdownIt) -> Iterator[str]:
    """One conversation."""
    day = datetime.fromtimestamp(conversation.created_at).strftime("%Y-%m-%d %H:%M")
    yield f'<section>\n<h1>{escape(conversation.title or conversation.id)}</h1>\n<div class="when">{day}</div>\n'
    if conversation.system.strip():
        yield f'<div class="system">{escape(conversation.system)}</div>\n'
    for message in conversation.messages:
        yield f'<article class="{escape(message.role.value)}">\n<div class="who">{who(message)}</div>\n'
        yield f"{draw.render(message.content)}</article>\n"
    yield "</section>\n"


def who(message: SavedMessage) -> str:
    """Who spoke, wearing what, and whether it was cut off."""
    name = {"user": "You", "assistant": message.base or "Assistant"}.get(message.role.value, "System")
    worn = f" · <b>{escape(message.adapter)}</b>" if message.adapter else ""
    return escape(name) + worn + ("" if message.status == "done" else f" · {escape(message.status)}")
