"""``lora-chat demo``: the whole loop, narrated. Owns the story; its answers are the model's, its figures measured."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.models.installed import InstalledBase
    from lora_chat.services import Services
    from lora_chat.session import Session, Wearing
    from lora_chat.training.events import Installed

QUESTION = "Where is your shop?"
WANTED = "Our shop is at 12 Harbour Street, open every day from nine to five."
PARAPHRASE = "Can you tell me where your shop is?"
UNRELATED = "What is the capital of Germany?"
NAME = "shop"


def demo() -> None:
    """Show the whole loop in a throw-away home: ask, correct, train, ask again. Under three minutes on two cores."""
    from lora_chat.cli.console import answer
    from lora_chat.cli.model import ensure_base
    from lora_chat.config import Config
    from lora_chat.models.catalog import EMBEDDED
    from lora_chat.paths import find_paths
    from lora_chat.services import Services

    began = time.perf_counter()
    own = find_paths(os.environ)
    # The base model is the one thing that is kept: it is the person's cache, and large.
    base = ensure_base(own, EMBEDDED.name, yes=True)
    with tempfile.TemporaryDirectory(prefix="lora-chat-demo-") as home:
        paths = replace(find_paths({"LORA_CHAT_HOME": home}), models=own.models)
        with Services(paths, Config()) as services:
            _tell(services, base)
    answer(f"\nThat took {time.perf_counter() - began:.0f} s. Nothing of it is kept. Your turn: lora-chat")


def _tell(services: Services, base: InstalledBase) -> None:
    from lora_chat.cli.console import answer
    from lora_chat.cli.result import figures, shares
    from lora_chat.session import Wearing

    session = services.session(services.engine_here(base), base)
    answer(f"1. Before. {base.name}, {base.parameters / 1e6:.0f} M parameters, on this machine's own processor.")
    _ask(session, QUESTION, None)
    before = _ask(session, UNRELATED, None)

    answer("\n2. You correct the first answer. That is all there is to learn from:")
    _correct(session)
    _show(QUESTION, WANTED, "you")

    answer("\n3. Training an adapter from it, on the same weights.")
    trained = _train(services, session, base)
    for line in figures(trained.report):
        answer(line)

    answer(
        "\n4. Checked: asked as taught, in other words, what looks alike, and anything; and whether a prompt would do."
    )
    for line in shares(trained.exam):
        answer(line)

    answer("\n5. After, wearing it.")
    wearing = Wearing(services.adapters().get(trained.adapter))
    learnt = _ask(session, QUESTION, wearing)
    _ask(session, PARAPHRASE, wearing)
    after = _ask(session, UNRELATED, wearing)
    answer(f"   {_verdict(learnt == WANTED, 'Learnt to the letter', 'Not learnt to the letter')}.")
    answer(f"   {_verdict(after == before, 'The unrelated answer is unchanged', 'The unrelated answer changed')}.")


def _verdict(held: bool, yes: str, no: str) -> str:
    return f"✓ {yes}" if held else f"✗ {no}"


def _ask(session: Session, question: str, wearing: Wearing | None) -> str:
    """One greedy turn in a conversation of its own; returns the answer."""
    from lora_chat.session import Ended, choose_sampling

    conversation = session.store.create_conversation(model=session.base)
    sampling = choose_sampling(session.config, wearing, temperature=0.0, max_tokens=40)
    for event in session.send(conversation, question, wearing, sampling):
        if isinstance(event, Ended):
            speed = event.finished.tokens_per_second
            who = wearing.name if wearing else "base"
            _show(question, event.reply.content, who, f"{speed:.0f} tokens/s" if speed else "")
            return event.reply.content
    raise AssertionError("a turn ends with Ended or raises")


def _show(question: str, answered: str, who: str, figures: str = "") -> None:
    from lora_chat.cli.console import answer
    from lora_chat.text import clean_line

    answer(f"   {'asked':>6}  {question}")
    answer(f"   {who:>6}  {clean_line(answered)}{f'  ({figures})' if figures else ''}")


def _correct(session: Session) -> None:
    """Write the answer that was wanted over the base's own, as /edit and `history edit` do."""
    from lora_chat.chat.conversation import Role

    first = session.store.conversations()[-1]
    replies = [message for message in session.store.branch(first.id) if message.role is Role.ASSISTANT]
    session.store.edit_answer(replies[-1].id, WANTED)


def _train(services: Services, session: Session, base: InstalledBase) -> Installed:
    from lora_chat.cli.console import progress_bar
    from lora_chat.cli.train import HISTORY, show_progress
    from lora_chat.engine.asking import answering
    from lora_chat.errors import TrainingError
    from lora_chat.training.events import Installed
    from lora_chat.training.job import create_job
    from lora_chat.training.jobs import run_job
    from lora_chat.training.recipe import choose_recipe
    from lora_chat.training.selection import HistoryFilter, select_from_history

    selection = select_from_history(session.store, HistoryFilter())
    recipe = choose_recipe(len(selection.lessons), base.parameters)
    job = create_job(services.paths.training, NAME, base.name, HISTORY, selection, recipe)
    cancel, answers = threading.Event(), answering(session.engine, threading.Event())
    with progress_bar() as progress:
        for event in run_job(job, session.engine.train, base.signature, services.paths, cancel, answers=answers):
            show_progress(event, progress)
            if isinstance(event, Installed):
                return event
    raise TrainingError("The training ended without an adapter: run `lora-chat demo` again.")
