"""What base models tell the window. Owns to whom each of these messages goes; shows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.tui import messages as news
from lora_chat.tui.base_messages import BaseCame, BaseFound, BaseMissing, BasesSeen, FetchFailed, Fetching

if TYPE_CHECKING:
    from lora_chat.tui.base_flow import BaseFlow
    from lora_chat.tui.bridge import Bridge
    from lora_chat.tui.screens.bases import BasesScreen
    from lora_chat.tui.training_flow import TrainingFlow
    from lora_chat.tui.welcome_flow import WelcomeFlow


class BaseNews:
    """The part of ``LoraChatApp`` that hands them on."""

    bridge: Bridge
    flow: TrainingFlow
    bases: BaseFlow
    welcome: WelcomeFlow

    def on_base_missing(self, event: BaseMissing) -> None:
        """The first start."""
        self.welcome.missing(event)

    def on_base_found(self, event: BaseFound) -> None:
        """The base is here."""
        self.bases.ended()
        self.welcome.found(event)
        self.flow.begin()

    def on_welcome_screen_fetch_wanted(self, event: news.News) -> None:
        """It is fetched by a process of its own."""
        self.bridge.arrivals.begin_with(getattr(event, "name", ""))

    def on_fetching(self, event: Fetching) -> None:
        """How far."""
        self.welcome.fetching(event)
        self.bases.fetching(event)

    def on_fetch_failed(self, event: FetchFailed) -> None:
        """It can be tried again."""
        if self.bridge.sitting is None:
            self.welcome.failed(event)
        self.bases.ended(event.reason if self.bridge.sitting is not None else "")

    def on_base_came(self, event: BaseCame) -> None:
        """Beside the one that answers."""
        self.bases.ended()

    def action_bases(self) -> None:
        """Which base models there are."""
        self.bridge.take("/model list")

    def on_bases_seen(self, event: BasesSeen) -> None:
        """For the screen that shows them."""
        self.bases.saw(event)

    def on_bases_screen_wanted(self, event: BasesScreen.Wanted) -> None:
        """A command for one of them."""
        self.bases.wants(event)

    def on_bases_screen_stop_wanted(self, event: news.News) -> None:
        """Of what comes."""
        self.bridge.arrivals.stop()

    def on_welcome_screen_choice_wanted(self, event: news.News) -> None:
        """Which there are."""
        self.bridge.arrivals.look(asked=True)
