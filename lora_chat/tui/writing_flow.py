"""From a wish to write something in the place of what was said, to the work. Owns that way; never does the work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from lora_chat.chat.attached import parted
from lora_chat.chat.thought import answer_of
from lora_chat.errors import RefusedError
from lora_chat.language import tr
from lora_chat.tui import messages as news
from lora_chat.tui.widgets.prompt import LONGEST

if TYPE_CHECKING:
    from lora_chat.tui.app import LoraChatApp
    from lora_chat.tui.bridge import Bridge


class WritingFlow:
    """Opens the editors and says what was written in them."""

    def __init__(self, app: LoraChatApp, bridge: Bridge) -> None:
        self._app, self._bridge = app, bridge

    def answer(self, event: news.AnswerWanted) -> None:
        """An editor with the answer in it."""
        from lora_chat.tui.screens.write_answer import WriteAnswer
        from lora_chat.tui.widgets.question import folded

        if self._app.has(WriteAnswer):
            return
        tour = self._app.chat.tour

        def written(text: str | None) -> None:
            if text is not None:
                self._bridge.edit(event.answer, text)
                tour.saw("edited")

        wanted = tour.step.wanted if tour.step else ""
        self._app.push_screen(WriteAnswer(folded(event.question), answer_of(event.answer.content), wanted), written)

    def question(self, event: news.QuestionWanted) -> None:
        """An editor with the question's words in it, which name its files."""
        from lora_chat.tui.screens.write_question import WriteQuestion, kept_with

        if self._app.has(WriteQuestion):
            return

        def written(text: str | None) -> None:
            if text is not None:
                self._app.chat.ask_otherwise(event.question, text)

        asked = parted(event.question.content)
        names = [file.mention for file in asked.files]
        self._app.push_screen(WriteQuestion(tr(kept_with(names)), asked.words), written)

    def prompt(self) -> None:
        """The prompt in the person's own editor, which has the terminal meanwhile; the window waits."""
        from lora_chat.sitting.editor import edit, find_editor

        asking = self._app.chat.asking
        written, why_not = asking.prompt.whole, ""
        try:
            command = find_editor(os.environ)
            with self._app.suspend():  # it must be left without an error, or the window does not come back
                try:
                    written = edit(command, written, LONGEST)
                except RefusedError as error:
                    why_not = str(error)
        except RefusedError as error:
            why_not = str(error)
        except SuspendNotSupported:
            why_not = "The window cannot leave this terminal to an editor: write in the prompt."
        if why_not:
            self._app.tell(why_not, refused=True)
        else:
            asking.fill(written)
