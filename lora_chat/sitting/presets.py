"""What the preset commands do, one function each. Owns their words; the files are ``chat/preset``'s."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lora_chat.chat.conversation import Message, Rating, Role, Status
from lora_chat.chat.preset import Preset, chosen, keep_preset, list_presets, own_system, read_preset
from lora_chat.chat.thought import answer_of
from lora_chat.errors import RefusedError, UsageError
from lora_chat.text import clean_line

if TYPE_CHECKING:
    from lora_chat.sitting.sitting import Sitting

SHOWN = 20
"""Examples that a look at a preset shows."""


def preset_list(sitting: Sitting, rest: str) -> None:
    """Show what is kept, and what cannot be used."""
    found, problems = list_presets(sitting.services.paths)
    rows = [(each.name, clean_line(f"{each.holds}. {each.description}", 200)) for each in found]
    rows += [(problem.path.name, problem.reason) for problem in problems]
    if rows:
        sitting.face.details("Presets", rows)
    else:
        sitting.face.note("There are no presets yet: /preset save NAME makes one of the answers you vouched for.")


def preset_use(sitting: Sitting, name: str) -> None:
    """Let each prompt of the open conversation begin with a copy of it, from the next answer on."""
    preset = read_preset(name, sitting.services.paths)
    sitting.refresh()
    before = sitting.conversation
    sitting.update(**chosen(preset, before))
    instead = ""
    if preset.system and own_system(before):
        instead = " Its system prompt stands in the place of your own, which /preset off brings back."
    sitting.face.note(f"Each prompt begins with {preset.name} from the next answer on: {preset.holds}.{instead}")


def preset_off(sitting: Sitting, rest: str) -> None:
    """Begin the prompts of the open conversation without it."""
    sitting.refresh()
    before = sitting.conversation
    if before is None or not (before.preset or before.examples or before.preset_system):
        raise RefusedError("This conversation has no preset: /preset use NAME gives it one.")
    sitting.update(**chosen(None, before))
    holds = "holds again" if before.preset_system else "stays"
    stays = f" Your own system prompt {holds}: /system none takes it away." if own_system(before) else ""
    sitting.face.note(f"The next prompt begins without {before.preset or 'examples'}.{stays}")


def preset_info(sitting: Sitting, name: str) -> None:
    """What a preset holds, by default the open conversation's copy of the one it has."""
    if name:
        preset = read_preset(name, sitting.services.paths)
    elif sitting.conversation is not None and sitting.preset:
        preset = Preset(sitting.preset, sitting.conversation.preset_system, sitting.conversation.examples)
    else:
        raise UsageError("This conversation has no preset: write /preset info NAME.")
    sitting.face.details(f"Preset {preset.name}", list(facts(preset)))


def facts(preset: Preset) -> Iterator[tuple[str, str]]:
    """What it says of itself and the first of its examples, for whoever shows them."""
    if preset.description:
        yield "says", preset.description
    if preset.system:
        yield "system prompt", clean_line(preset.system, 300)
    for number, (question, answer) in enumerate(preset.examples[:SHOWN], 1):
        yield f"example {number}", f"{clean_line(question, 120)} → {clean_line(answer, 180)}"
    if len(preset.examples) > SHOWN:
        yield "more", f"{len(preset.examples) - SHOWN:,}: `lora-chat preset show {preset.name}` prints them all"


def preset_save(sitting: Sitting, name: str) -> None:
    """Keep the open conversation's system prompt and the answers that the person vouched for, with their questions."""
    current, examples = sitting.conversation, tuple(_vouched_for(sitting.branch()))
    if current is None or not examples:
        raise RefusedError(
            "No answer of this conversation is vouched for: /rate good or /edit one, then /preset save NAME."
        )
    preset = Preset(name, current.system, examples, current.title)
    keep_preset(preset, sitting.services.paths)
    sitting.face.note(f"{name} is kept with {preset.holds}: /preset use {name} begins another conversation with it.")
    sitting.face.changed()


def _vouched_for(branch: list[Message]) -> Iterator[tuple[str, str]]:
    """Questions with their answers that the person wrote, or rated good."""
    by_id = {message.id: message for message in branch}
    for answer in branch:
        question = by_id.get(answer.parent or 0)
        if answer.role is not Role.ASSISTANT or question is None or question.role is not Role.USER:
            continue
        said = answer.status is Status.DONE and question.content.strip() and answer_of(answer.content)
        vouched = answer.rating is Rating.GOOD or (answer.edited_from is not None and answer.rating is not Rating.BAD)
        if said and vouched:
            yield question.content, answer_of(answer.content)
