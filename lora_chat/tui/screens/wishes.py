"""What a person wants of an answer or a conversation. Owns which wish is which call of the bridge; never draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.chat.conversation import Message, Role
from lora_chat.tui import messages as news
from lora_chat.tui.bridge import Bridge
from lora_chat.tui.screens.beneath import Beneath
from lora_chat.tui.widgets.asking import Asking

if TYPE_CHECKING:
    from lora_chat.tui.widgets.conversation_list import ConversationList
    from lora_chat.tui.widgets.transcript import Transcript


class Wishes(Beneath[None]):
    """Hears the transcript and the list of conversations."""

    def __init__(self, bridge: Bridge, *, id: str) -> None:
        super().__init__(id=id)
        self.bridge = bridge

    @property
    def asking(self) -> Asking:
        """Where the person writes."""
        return self.query_one(Asking)

    def edit(self, answer: Message) -> None:
        """Have the answer that was wanted written."""
        self.bridge.run(lambda sitting: sitting.face.write_answer(answer))

    def on_transcript_edit_wanted(self, event: Transcript.EditWanted) -> None:
        """Write the answer that was wanted, or the question in other words."""
        if event.message.role is Role.USER:
            self.bridge.run(lambda sitting: sitting.face.write_question(event.message))
        else:
            self.edit(event.message)

    def on_transcript_rating_wanted(self, event: Transcript.RatingWanted) -> None:
        """Good, bad, or neither."""
        self.bridge.run(lambda sitting: sitting.rate(event.message, event.rating))

    def on_transcript_retry_wanted(self, event: Transcript.RetryWanted) -> None:
        """Answer that question again."""
        self.bridge.run(lambda sitting: sitting.retry(event.message))

    def on_transcript_more_wanted(self, event: Transcript.MoreWanted) -> None:
        """Let it go on."""
        from lora_chat.sitting.continuing import let_go_on

        self.bridge.run(lambda sitting: let_go_on(sitting, event.message))

    def on_transcript_copy_wanted(self, event: Transcript.CopyWanted) -> None:
        """Put it on the clipboard."""
        from lora_chat.sitting.copying import copy_message

        self.bridge.run(lambda sitting: copy_message(sitting, event.message))

    def on_transcript_delete_wanted(self, event: Transcript.DeleteWanted) -> None:
        """Without asking: it can come back."""
        from lora_chat.sitting.turns import delete_turn

        self.bridge.run(lambda sitting: delete_turn(sitting, event.message))

    def on_transcript_undo_wanted(self) -> None:
        """What was deleted last."""
        self.bridge.take("/undo")

    def on_transcript_sibling_wanted(self, event: Transcript.SiblingWanted) -> None:
        """Look at another answer."""
        self.bridge.run(lambda sitting: sitting.show_sibling(event.message, event.step))

    def on_transcript_wrote(self, event: Transcript.Wrote) -> None:
        """Whoever writes, writes in the prompt."""
        self.asking.go_on(event.text)

    def on_transcript_left(self) -> None:
        """Back to the prompt."""
        self.asking.prompt.focus()

    def on_conversation_list_open_wanted(self, event: ConversationList.OpenWanted) -> None:
        """Go on with that one."""
        self._go_on_with(event.id)

    def _go_on_with(self, id: str) -> None:
        self.app.clear_notifications()  # they are of what was open
        self.bridge.run(lambda sitting: sitting.open(id))

    def on_conversation_list_rename_wanted(self, event: ConversationList.RenameWanted) -> None:
        """The prompt is where titles are written."""
        self._go_on_with(event.id)
        self._write_in(event.id, f"/rename {event.title}")

    def _write_in(self, conversation: str, text: str) -> None:
        """Let ``text`` stand in the prompt of ``conversation``, which comes to be open."""
        self.asking.fill(text)

    def on_conversation_list_delete_wanted(self, event: ConversationList.DeleteWanted) -> None:
        """Without asking: it can come back."""
        from lora_chat.sitting.turns import delete_conversation

        self.bridge.run(lambda sitting: delete_conversation(sitting, event.id))

    def on_conversation_list_undo_wanted(self) -> None:
        """What was deleted last."""
        self.bridge.take("/undo")

    def on_conversation_list_pin_wanted(self, event: ConversationList.PinWanted) -> None:
        """To the top of the list, or no longer."""
        from lora_chat.sitting.listing import turn_pin

        self.bridge.run(lambda sitting: turn_pin(sitting, event.id))

    def on_conversation_list_archive_wanted(self, event: ConversationList.ArchiveWanted) -> None:
        """Out of sight, or back."""
        from lora_chat.sitting.listing import turn_archive

        self.bridge.run(lambda sitting: turn_archive(sitting, event.id))

    def on_conversation_list_left(self) -> None:
        """Back to the prompt."""
        self.remove_class("-list-open")
        self.asking.prompt.focus()

    def action_pick_adapter(self) -> None:
        """What this conversation can wear."""
        self.bridge.run(lambda _: self.post_message(news.Opened("picker")))  # where there is a base

    def action_adapters(self) -> None:
        """What is installed."""
        self.bridge.take("/adapter list")

    def action_new(self) -> None:
        """A new conversation."""
        self.app.clear_notifications()
        self.bridge.run(lambda sitting: sitting.new())

    def action_search(self) -> None:
        """Where something was said."""
        self.post_message(news.HitsSeen("", (), asked=True))
