"""What a person is shown and asked at a shell before an adapter comes or goes. Owns its lines; decides nothing.

Both are in the person's language: they are asked to agree to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.sitting.face import Facts


class Shell:
    """``Presenter`` on stderr."""

    def __init__(self, yes: bool) -> None:
        """``yes``: nobody is asked, whatever it is has been agreed to."""
        self._yes = yes

    def details(self, title: str, rows: Facts) -> None:
        """See ``Presenter.details``; the rows say what the title does."""
        from rich.cells import cell_len

        from lora_chat.cli.console import folded, note
        from lora_chat.language.facts import tr_fact

        told = [tr_fact(name, fact) for name, fact in rows]
        width = max(cell_len(name) for name, _ in told) + 2
        for name, fact in told:
            note(folded(f"{name}{' ' * (width - cell_len(name))}{fact}", width))

    def confirm(self, question: str, *, loses: bool = False, about: Facts = ()) -> bool:
        """See ``Asker.confirm``; without a terminal and ``--yes`` it is a usage error."""
        from lora_chat.cli.console import confirm

        if about:
            self.details("", about)
        return confirm(question, yes=self._yes, loses=loses)
