"""``lora-chat history``: what was said. Owns how conversations are listed, shown and corrected; never generates."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Unpack

import typer

from lora_chat.cli import names

if TYPE_CHECKING:
    from lora_chat.chat.conversation import Conversation, Message
    from lora_chat.chat.rows import ConversationFields
    from lora_chat.chat.search import Hit
    from lora_chat.chat.store import Store

app = typer.Typer(
    help="Conversations: list, show, search, rate, correct, export, import and delete them.", no_args_is_help=True
)

ID = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="A conversation's id or any unique beginning of it.", autocompletion=names.conversations
    ),
]
MessageNumber = Annotated[int, typer.Argument(metavar="MESSAGE", help="A message's number, as `show` prints it.")]
_SHOWN = 5
"""Parts that are left out which an import names."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_conversations(json: Json = False) -> None:
    """List conversations, newest first."""
    from lora_chat.cli.console import answer_json, answer_table, note

    found: list[dict[str, Any]] = []
    if _database().exists():
        with _store() as store:
            counts = store.message_counts()
            found = [_listed(each) | {"messages": counts.get(each.id, 0)} for each in store.conversations()]
    if json:
        answer_json({"conversations": found})
    elif found:
        head = ["ID", "UPDATED", "MESSAGES", "ADAPTER", "LISTED", "TRAIN", "TITLE"]
        answer_table(head, [_cells(each) for each in found])
    if not found:
        note('No conversations yet: `lora-chat ask "Hello"` begins one.')


@app.command()
def show(id: ID, json: Json = False) -> None:
    """Show the visible branch of a conversation; each message's number is what `rate` and `edit` take."""
    from lora_chat.cli.console import answer_json

    with _store() as store:
        conversation = store.conversation(id)
        branch = [(message, store.siblings(message.id)) for message in store.branch(conversation.id)]
    if json:
        messages = [_facts(message) | {"siblings": [each.id for each in siblings]} for message, siblings in branch]
        answer_json({"conversation": _facts(conversation), "messages": messages})
    else:
        _print_conversation(conversation, branch)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Words to find; the last may be a beginning.")],
    limit: Annotated[int, typer.Option(min=1, help="The most to show.")] = 20,
    json: Json = False,
) -> None:
    """Find titles and messages that hold all the words, newest first."""
    from lora_chat.chat.search import search as find
    from lora_chat.cli.console import answer_json, answer_table, note

    hits = []
    if _database().exists():
        with _store() as store:
            hits = find(store, text, limit)
    if json:
        answer_json({"hits": [_hit(hit) for hit in hits]})
    elif hits:
        rows = [_hit_cells(hit) for hit in hits]
        answer_table(["ID", "MESSAGE", "ROLE", "TEXT"], rows)
    else:
        note("Nothing found.")


@app.command()
def export(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Conversations; all without any.", autocompletion=names.conversations),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", "-f", help="jsonl (OpenAI messages), md, sharegpt, or a plugin's.")
    ] = "jsonl",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write this file instead of stdout.")] = None,
) -> None:
    """Write conversations in a format that others read; of each the visible branch."""
    from lora_chat.chat.transcript import Format, export_conversations
    from lora_chat.cli.console import answer, note
    from lora_chat.errors import NotFoundError, UsageError
    from lora_chat.plugins.formats import saved_conversations, writers
    from lora_chat.services import open_services
    from lora_chat.sitting.carrying import write_private

    with open_services() as services, _store() as store:
        if format in list(Format):
            texts = list(export_conversations(store, ids or None, Format(format)))
        else:
            known = {each.name: each for each in writers(services.plugins)}
            if format not in known:
                raise UsageError(f'Unknown format "{format}": choose one of {", ".join([*Format, *known])}.')
            chosen = [each.id for each in (map(store.conversation, ids) if ids else store.conversations()[::-1])]
            found = list(saved_conversations(store, chosen))
            texts = ["".join(known[format].write(found))] if found else []
    if not texts:
        raise NotFoundError("There are no messages to export.")
    if output is None:
        answer("".join(texts).removesuffix("\n"))
        return
    write_private(output, "".join(texts))
    note(f"Exported {_count(len(texts) if format in list(Format) else len(found), 'conversation')} to {output}.")


@app.command("import")
def import_conversations(
    file: Annotated[
        Path, typer.Argument(help="OpenAI messages or ShareGPT, as JSON, exported Markdown, or what a plugin reads.")
    ],
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Import the rest where part of it is no conversation.")
    ] = False,
    json: Json = False,
) -> None:
    """Add the conversations of a file; the whole file is checked first."""
    from lora_chat.chat.transcript import import_file, read_transcripts
    from lora_chat.cli.console import answer, answer_json, note
    from lora_chat.plugins.formats import reader_for
    from lora_chat.plugins.unread import named_where_refused
    from lora_chat.services import open_services

    with open_services() as services:
        reader = reader_for(services.plugins, file)
        for news in services.plugins.news():
            note(news)
        with named_where_refused(services.plugins, file, reader, "lora-chat plugin enable"):
            if not _database().exists():
                problems: list[str] | None = [] if leave_out else None
                for _ in read_transcripts(file, problems, reader):  # a refused file must leave no empty database behind
                    pass
            with _store(create=True) as store:
                imported = import_file(store, file, leave_out=leave_out, entries=reader)
    left_out = list(imported.left_out)
    if json:
        counted = {"conversations": imported.conversations, "messages": imported.messages}
        answer_json(counted | ({"left_out": left_out} if left_out else {}))
        return
    for problem in left_out[:_SHOWN]:
        note(f"Left out: {problem}.")
    if len(left_out) > _SHOWN:
        note(f"Left out: {len(left_out) - _SHOWN:,} more.")
    conversations = _count(len(imported.conversations), "conversation")
    answer(f"Imported {conversations} with {_count(imported.messages, 'message')}.")


@app.command()
def delete(id: ID, yes: Yes = False) -> None:
    """Delete a conversation with all of its branches."""
    from lora_chat.cli.console import answer, confirm
    from lora_chat.text import clean_line

    with _store() as store:
        conversation = store.conversation(id)
        count = _count(len(store.messages(conversation.id)), "message")
        named = f'{conversation.id} "{clean_line(conversation.title, 60)}"'
        if not confirm(f"Delete conversation {named} with {count}? This cannot be undone.", yes=yes, loses=True):
            answer("Nothing was deleted.")
            return
        store.delete_conversation(conversation.id)
    answer(f"Deleted {named} with {count}.")


@app.command()
def rate(
    message: MessageNumber,
    rating: Annotated[str, typer.Argument(metavar="good|bad|none", help="`none` takes a rating back.")],
) -> None:
    """Say what an answer is worth; training learns from good ones."""
    from lora_chat.chat.conversation import Rating
    from lora_chat.cli.console import answer
    from lora_chat.errors import UsageError

    if rating not in [*Rating, "none"]:
        raise UsageError(f'"{rating}" is no rating: write good, bad or none.')
    with _store() as store:
        store.rate(message, None if rating == "none" else Rating(rating))
    answer(f"Message {message} is " + ("not rated." if rating == "none" else f"rated {rating}."))


@app.command()
def edit(
    message: MessageNumber,
    text: Annotated[str, typer.Argument(help="The answer you wanted; `-` reads it from stdin.")],
) -> None:
    """Write the answer you wanted beside the one given; the old one is kept."""
    from lora_chat.cli.console import answer

    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "replace").strip()
    with _store() as store:
        made = store.edit_answer(message, text)
    answer(f"Message {made.id} now stands in place of {message}.")


@app.command("never-train")
def never_train(
    id: ID,
    off: Annotated[bool, typer.Option("--off", help="Take it back: it may be trained on again.")] = False,
) -> None:
    """Keep a conversation out of every training, whatever is rated or corrected in it."""
    from lora_chat.cli.console import answer
    from lora_chat.paths import find_paths
    from lora_chat.text import clean_line
    from lora_chat.training.forgetting import forget_everywhere

    with _store() as store:
        conversation = store.update_conversation(store.conversation(id).id, never_train=not off)
    named = f'{conversation.id} "{clean_line(conversation.title, 60)}"'
    if off:
        answer(f"{named} may be trained on again.")
        return
    kept = forget_everywhere(conversation.id, find_paths(os.environ))
    answer(f"Nothing of {named} is ever trained on; {kept}.")


@app.command()
def pin(id: ID, off: Annotated[bool, typer.Option("--off", help="No longer.")] = False) -> None:
    """Keep a conversation at the top of the chat's list."""
    _keep(id, "is no longer pinned" if off else "is pinned", pinned=not off)


@app.command()
def archive(id: ID, off: Annotated[bool, typer.Option("--off", help="List it again.")] = False) -> None:
    """Put a conversation away: the chat does not list it, the search finds it, and training learns from it."""
    _keep(id, "is listed again" if off else "is archived", archived=not off)


def _keep(id: str, now: str, **changes: Unpack[ConversationFields]) -> None:
    from lora_chat.cli.console import answer
    from lora_chat.text import clean_line

    with _store() as store:
        conversation = store.update_conversation(store.conversation(id).id, **changes)
    answer(f'{conversation.id} "{clean_line(conversation.title, 60)}" {now}.')


def _database() -> Path:
    from lora_chat.paths import find_paths

    return find_paths(os.environ).database


@contextmanager
def _store(create: bool = False) -> Iterator[Store]:
    """Open the home's store; only ``create`` makes one where none is.

    Raises:
        NotFoundError: there is none, so nothing that could be named.
    """
    from lora_chat.chat.store import Store
    from lora_chat.errors import NotFoundError

    path = _database()
    if not create and not path.exists():
        raise NotFoundError(f'No conversations yet in {path.parent}: `lora-chat ask "Hello"` begins one.')
    with Store.open(path) as store:
        yield store


def _facts(thing: Conversation | Message) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(thing)


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "conversation": hit.conversation.id, "title": hit.conversation.title, "archived": hit.conversation.archived,
        "message": hit.message and hit.message.id, "role": hit.message and hit.message.role, "snippet": hit.snippet,
    }  # fmt: skip


def _hit_cells(hit: Hit) -> list[str]:
    away = " (archived)" if hit.conversation.archived else ""
    where = [str(hit.message.id), str(hit.message.role)] if hit.message else ["-", "title"]
    return [hit.conversation.id, *where, hit.snippet + away]


def _listed(conversation: Conversation) -> dict[str, Any]:
    """All but the examples, of which a preset has up to a million bytes: ``show`` has them."""
    facts = _facts(conversation)
    del facts["examples"]
    return facts


def _cells(facts: dict[str, Any]) -> list[str]:
    return [
        facts["id"], _when(facts["updated_at"]), str(facts["messages"]), facts["adapter"] or "-",
        _place(facts), "never" if facts["never_train"] else "-", facts["title"],
    ]  # fmt: skip


def _place(facts: dict[str, Any]) -> str:
    """Where the chat lists it."""
    return "archived" if facts["archived"] else "pinned" if facts["pinned"] else "-"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _print_conversation(conversation: Conversation, branch: list[tuple[Message, list[Message]]]) -> None:
    from lora_chat.cli.console import answer
    from lora_chat.text import clean, clean_line

    never = "  (never trained on)" if conversation.never_train else ""
    place = _place(_facts(conversation)).replace("-", "")
    answer(f"{conversation.id}  {clean_line(conversation.title)}{never}{place and f'  ({place})'}")
    if conversation.system:
        answer(f"\nsystem\n{clean(conversation.system)}")
    if conversation.preset:
        answer(f"\npreset {clean_line(conversation.preset)}, {_count(len(conversation.examples), 'example')}")
    for message, siblings in branch:
        answer(f"\n[{message.id}] {_heading(message, siblings)}\n{clean(message.content)}")


def _heading(message: Message, siblings: list[Message]) -> str:
    """The role and everything about the message that differs from the plain case."""
    from lora_chat.chat.conversation import Status
    from lora_chat.text import clean_line

    place = [each.id for each in siblings].index(message.id) + 1 if len(siblings) > 1 else 0
    facts = [
        f"model {message.base}" if message.base else "",
        f"adapter {message.adapter}" if message.adapter else "",
        f"scale {message.scale:g}" if message.scale not in (None, 1.0) else "",
        "" if message.status is Status.DONE else str(message.status),
        message.error or "",
        f"rated {message.rating}" if message.rating else "",
        f"corrects {message.edited_from}" if message.edited_from else "",
        f"{place} of {len(siblings)}: {', '.join(str(each.id) for each in siblings)}" if place else "",
    ]
    said = ", ".join(clean_line(fact) for fact in facts if fact)
    return f"{message.role}" + (f" ({said})" if said else "")
