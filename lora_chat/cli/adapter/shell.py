"""What a person is shown and asked at a shell before an adapter comes or goes. Owns its lines; decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_chat.sitting.face import Facts


class Shell:
    """``Asker`` on stderr."""

    def __init__(self, yes: bool) -> None:
        """``yes``: nobody is asked, whatever it is has been agreed to."""
        self._yes = yes

    def details(self, title: str, rows: Facts) -> None:
        """See ``Asker.details``; the rows say what the title does."""
        from lora_chat.cli.console import folded, note

        width = max(len(name) for name, _ in rows) + 2
        for name, fact in rows:
            note(folded(f"{name:{width}}{fact}", width))

    def confirm(self, question: str, *, loses: bool = False, about: Facts = ()) -> bool:
        """See ``Asker.confirm``; without a terminal and ``--yes`` it is a usage error."""
        from lora_chat.cli.console import confirm

        if about:
            self.details("", about)
        return confirm(question, yes=self._yes, loses=loses)
