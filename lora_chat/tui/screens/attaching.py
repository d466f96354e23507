"""Files beside the talk. Owns who hears what of them; reading and counting are ``files``'."""

from __future__ import annotations

from lora_chat.tui import file_messages as news
from lora_chat.tui.base_messages import BaseChanged, BaseFound
from lora_chat.tui.messages import EngineSeen
from lora_chat.tui.screens.working import Working
from lora_chat.tui.widgets.asking import Asking
from lora_chat.tui.widgets.attached import Attached
from lora_chat.tui.widgets.title_bar import TitleBar
from lora_chat.tui.widgets.weighing import WeightWanted


class Attaching(Working):
    """Hears of names that are written, of files that go with a message, and what they weigh."""

    def on_asking_names_wanted(self, event: Asking.NamesWanted) -> None:
        """A name is half written."""
        self.bridge.files.complete(event.half)

    def on_asking_files_wanted(self, event: Asking.FilesWanted) -> None:
        """Names are written."""
        self.bridge.files.look(event.text)

    def on_files_found(self, event: news.FilesFound) -> None:
        """What the name could become."""
        self.asking.offer_names(event.half, event.found)

    def on_files_seen(self, event: news.FilesSeen) -> None:
        """What goes with the message."""
        self.asking.show_files(event.text, event.looks)

    def on_weight_wanted(self, event: WeightWanted) -> None:
        """Of a file in the talk or over the prompt."""
        self.bridge.files.weigh(event.file)

    def on_file_weighed(self, event: news.FileWeighed) -> None:
        """It was counted."""
        from lora_chat.tui.widgets.question import Folded

        self.query_one(Attached).weighed(event.file, event.tokens)
        for folded in self.query(Folded):
            folded.weighed(event.file, event.tokens)

    def on_base_found(self, event: BaseFound) -> None:
        """The base is known."""
        self._know_window(event.base.window)

    def on_base_changed(self, event: BaseChanged) -> None:
        """Another one counts otherwise, once it is loaded."""
        self._know_window(event.base.window)
        self._weigh()

    def _know_window(self, tokens: int) -> None:
        self.query_one(Attached).window = tokens

    def on_engine_seen(self, event: EngineSeen) -> None:
        """Now it can count."""
        if event.state == "ready":
            self._know_window(event.window)
            self.query_one(TitleBar).window = event.window
            self._weigh()

    def _weigh(self) -> None:
        from lora_chat.tui.widgets.question import Folded

        self.query_one(Attached).weigh()
        for folded in self.query(Folded):
            folded.weigh()
