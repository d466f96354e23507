"""What is known of something, in the line chat. Owns how names and facts are aligned; never what they say."""

from __future__ import annotations

from rich.cells import cell_len

from lora_chat.cli.console import answer, folded
from lora_chat.language.facts import tr_fact
from lora_chat.sitting.face import Facts


def show_facts(facts: Facts, title: str = "") -> None:
    """Each on a line of its own, in the person's language; ``title`` says what they are of."""
    shown = [tr_fact(name, fact, title) for name, fact in facts]
    width = max((cell_len(name) for name, _ in shown), default=0)
    for name, fact in shown:
        answer(folded(f"  {name}{' ' * (width - cell_len(name))}  {fact}", width + 4))
