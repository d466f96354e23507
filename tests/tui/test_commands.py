"""Every command as it is typed in the prompt, and the ways to type one."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.content import Content

from lora_chat.chat.preset import Preset, keep_preset
from lora_chat.chat.store import Store
from lora_chat.paths import Paths
from lora_chat.sitting.commands import COMMANDS
from lora_chat.tui.screens.adapters import AdaptersScreen
from lora_chat.tui.screens.bases import BasesScreen
from lora_chat.tui.screens.checks import ChecksScreen
from lora_chat.tui.screens.compare import CompareScreen
from lora_chat.tui.screens.confirm import ConfirmScreen
from lora_chat.tui.screens.details import DetailsScreen
from lora_chat.tui.screens.help import HelpScreen
from lora_chat.tui.screens.search import SearchScreen
from lora_chat.tui.screens.write_answer import WriteAnswer
from lora_chat.tui.screens.write_question import WriteQuestion
from lora_chat.tui.theme import DARK, LIGHT
from lora_chat.tui.widgets.completions import Completions
from lora_chat.tui.widgets.conversation_list import ConversationList
from tests.plugins.conftest import UP
from tests.tui.conftest import Branch, Tell, Window, idle

TYPED = {
    "adapter list": AdaptersScreen,
    "adapter use shop": "Wearing shop from the next answer on.",
    "adapter scale 0.5": "Wearing shop ×0.5 from the next answer on.",
    "adapter info": DetailsScreen,
    "adapter verify": DetailsScreen,
    "adapter mix shop=1 nobody=1": 'There is no adapter called "nobody"',
    "adapter off": "Wearing nothing: the base answers.",
    "adapter pack": "No adapter is worn: write /adapter pack NAME.",
    "adapter install /nowhere": "/nowhere",
    "adapter remove shop": "shop is removed: /adapter restore shop brings it back, for 24 hours.",
    "adapter restore": "shop is back: /adapter use shop",
    "adapter history shop": DetailsScreen,
    "adapter history": "No adapter is worn: write /adapter history NAME.",
    "adapter rollback shop": "shop 1.0.0 has no version before it",
    "check": "No adapter is worn: write /check NAME.",
    "check shop": ChecksScreen,
    "report": "There is no report yet",
    "compare": "No adapter is worn",
    "compare base @nobody": 'There is no adapter called "nobody"',
    "compare base @shop": CompareScreen,
    "train continue": "Say which adapter is to learn more",
    "train continue nobody": 'There is no adapter called "nobody"',
    "train status": "No training is running",
    "train pause": "No training is running",
    "train resume": "No training is running",
    "train cancel": "No training is running",
    "train cancel nobody": "No training is called nobody",
    "rate good": "Rated good.",
    "preset list": "There are no presets yet",
    "preset use nobody": 'There is no preset called "nobody"',
    "preset save mine": "mine is kept with 1 example",
    "preset use mine": "Each prompt begins with mine from the next answer on: 1 example.",
    "preset info": DetailsScreen,
    "preset off": "The next prompt begins without mine.",
    "train from-history a b": "A name is one word",
    "edit The answer I wanted": "Kept as the answer you wanted",
    "edit": WriteAnswer,
    "retry": "",
    "continue": "Nothing was added: the answer ends there.",
    "branch": WriteQuestion,
    "branch Good day": "",
    "delete turn": "messages are deleted: /undo brings them back, until you leave.",
    "undo": "messages are back.",
    "export md there.md": "Written as Markdown: ",
    "import there.md": ConfirmScreen,
    "import nowhere.jsonl": "nowhere.jsonl is not a file",
    "copy": "Copied 8 characters to ",
    "copy code": "There is no code in this conversation",
    "copy chat": "Copied ",
    "copy 9": "/copy 1 is the last",
    "copy everything": "Write /copy, /copy code, /copy chat, or /copy 2",
    "search hello": SearchScreen,
    "rename Another title": "It is called Another title now.",
    "pin": "“Another title” stands at the top of the list",
    "archived": "Nothing is archived",
    "train never": "Nothing of this conversation is ever trained on",
    "train allow": "may be trained on.",
    "system Be brief.": "The system prompt is set.",
    "system": DetailsScreen,
    "context": DetailsScreen,
    "model list": BasesScreen,
    "model info": DetailsScreen,
    "model info qwen3-0.6b": DetailsScreen,
    "model info nothing": '"nothing" is no base model',
    "model pull tiny-llama": "tiny-llama is on this machine already: /model use tiny-llama",
    "model default tiny-llama": "tiny-llama is what lora-chat begins with from the next start on.",
    "model remove tiny-llama": "tiny-llama answers here: have another one answer first",
    "model use tiny-llama": "tiny-llama answers already.",
    "model use nothing": "The base model nothing is not on this machine",
    "system none": "left to the adapter and the settings",
    "new one": "/new takes nothing behind it",
    "set temperature 0.2": "temperature is 0.2 from the next answer on.",
    "set": DetailsScreen,
    "set default": "Answers are drawn here as elsewhere from the next answer on.",
    "theme light": "",
    "plugin list": DetailsScreen,
    "plugin info nobody": 'There is no plugin called "nobody"',
    "plugin enable nobody": 'There is no plugin called "nobody"',
    "plugin disable nobody": 'There is no plugin called "nobody"',
    "help": HelpScreen,
    "keys": DetailsScreen,
    "tour": "",
    "open": ConversationList,
    "archive": "No conversation is open yet",
    "delete": "No conversation is open",
    "delete everything": "Write /delete for this conversation, or /delete turn",
    "new": "",
}
"""What is typed and what comes of it: a sentence, a screen, or nothing but what the window shows."""


def words_of(typed: str) -> str:
    return max((command.words for command in COMMANDS if f"{typed} ".startswith(f"{command.words} ")), key=len)


def test_every_command_is_typed_here() -> None:
    assert {words_of(typed) for typed in TYPED} == {command.words for command in COMMANDS} - {"quit"}


@pytest.mark.usefixtures("worn")
def test_each_command_says_or_shows_what_it_did(window: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("hello")
        for typed, comes in TYPED.items():
            await w.write(f"/{typed}")
            if isinstance(comes, str) and comes:
                await w.hear(comes)
            elif comes is ConversationList:
                await w.until(lambda: isinstance(w.app.focused, ConversationList))
                await w.press("escape")
            elif comes:
                await w.until(lambda screen=comes: isinstance(w.app.screen, screen))  # type: ignore[misc]
                await w.press("escape")
                await w.until(lambda: w.app.screen is w.app.chat)
            else:
                await idle(w)
            w.app.clear_notifications()
        assert w.app.theme == LIGHT.name
        assert w.app.chat.tour.step is not None
        assert not w.app.chat.talk.views

    window(story, (80, 24))


def test_quit_leaves(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/quit")
        await w.until(lambda: not w.app.is_running or w.app._exit)

    window(story)


def test_a_wrong_command_is_one_sentence_and_stays_in_the_prompt(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        for typed, said in {
            "/adaptr use x": "There is no /adaptr; did you mean /adapter?",
            "/home/me/notes: what is that": "two, //",
            "/adapter use": "Write /adapter use NAME[=SCALE]",
            "/adapter scale 2": "No adapter is worn",
            "/set temperature hot": '"hot" is no value for temperature',
            "/set tone kind": "Write /set and one of temperature",
            "/rate fine": "Write /rate good or /rate bad",
            "/theme pink": "Write /theme ",
        }.items():
            await w.write(typed)
            await w.hear(said)
            await w.until(lambda typed=typed: w.prompt.text == typed)  # type: ignore[misc]
            assert len(w.told) == 1
            w.app.clear_notifications()
        await w.write("/adapter use nobody")
        await w.hear("nobody")
        await w.until(lambda: w.prompt.text == "/adapter use nobody")
        await w.write("//etc is a folder")
        await w.until(lambda: w.app.chat.answer is not None)
        await w.see("/etc is a folder")

    window(story)


# Conversations


def test_new_open_rename_and_delete_keep_what_they_say(window: Tell, tiny: Paths) -> None:
    def titles() -> list[str]:
        with Store.open(tiny.database) as store:
            return [each.title for each in store.conversations()]

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("First thing")
        await w.write("/new")
        await w.until(lambda: not w.app.chat.talk.views)
        await w.answered("Second thing")
        await w.write("/rename The second")
        await w.until(lambda: titles() == ["The second", "First thing"])
        await w.see("● The second")
        await w.write("/delete")
        await w.hear("“The second” is deleted: /undo brings it back, until you leave.")
        await w.until(lambda: titles() == ["First thing"] and not w.app.chat.talk.views)
        await w.write("/undo")
        await w.hear("“The second” is back.")
        await w.until(lambda: len(titles()) == 2 and w.app.chat.talk.views)
        await w.write("/delete")
        await w.until(lambda: titles() == ["First thing"] and not w.app.chat.talk.views)
        await w.write("/open")
        await w.until(lambda: isinstance(w.app.focused, ConversationList))
        await w.press("enter")
        await w.until(lambda: w.app.chat.talk.views)
        await w.see("● First thing")

    window(story)


def test_a_conversation_kept_out_of_every_training_is_marked_in_the_list_and_in_the_title(
    window: Tell, tiny: Paths
) -> None:
    def kept_out() -> bool:
        with Store.open(tiny.database) as store:
            return [each.never_train for each in store.conversations()] == [True]

    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/train never")
        await w.hear("No conversation is open yet")
        await w.answered("My diary")
        await w.write("/train never")
        await w.see("⊘ My diary")
        await w.see("⊘ never trained on")
        assert kept_out()
        await w.write("/train from-history")
        await w.hear("1 never to be trained on")
        await w.write("/train allow")
        await w.see("● My diary")
        assert not kept_out()

    window(story)


def test_a_system_prompt_and_a_setting_reach_the_next_answer(window: Tell, branch: Branch) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/system Be brief.")
        await w.hear("The system prompt is set.")
        await w.write("/set max_tokens 2")
        await w.hear("max_tokens is 2")
        await w.answered("one two three four")
        await w.see("cut off at 2 tokens")

    window(story)
    assert branch()[-1].prompt_tokens == 8  # "Be brief." counts
    assert branch()[-1].content == "one two"


def test_a_format_of_a_plugin_is_completed_once_it_is_enabled(window: Tell, tiny: Paths) -> None:
    (tiny.plugins / "up").mkdir(parents=True)
    (tiny.plugins / "up/plugin.py").write_text(UP, encoding="utf-8")
    (tiny.plugins / "up/plugin.toml").write_text('name = "up"\n', encoding="utf-8")

    async def story(w: Window) -> None:
        await w.ready()
        offered = w.app.chat.query_one(Completions)
        await w.type("/export u")
        assert offered.chosen is None
        await w.press("ctrl+c")
        await w.write("/plugin enable up")
        await w.until(lambda: isinstance(w.app.screen, ConfirmScreen))
        await w.press("y")
        await w.hear("up is enabled")
        await w.until(lambda: w.app.chat.asking.formats)
        await w.type("/export u")
        await w.until(lambda: offered.chosen is not None and offered.chosen.line == "/export up")
        await w.press("ctrl+c")
        await w.write("/plugin disable up")
        await w.until(lambda: not w.app.chat.asking.formats)

    window(story)


def test_a_preset_is_completed_by_its_name_and_stands_in_the_title(window: Tell, tiny: Paths, branch: Branch) -> None:
    keep_preset(Preset("shop", "You sell shoes.", (("Where?", "In Harbour Street."),)), tiny)

    async def story(w: Window) -> None:
        await w.ready()
        assert "prompt:" not in w.text
        offered = w.app.chat.query_one(Completions)
        await w.until(lambda: w.app.chat.asking.presets)
        await w.type("/preset use s")
        await w.until(lambda: offered.chosen is not None and offered.chosen.line == "/preset use shop")
        await w.press("enter")
        await w.hear("Each prompt begins with shop from the next answer on: a system prompt and 1 example.")
        await w.see("prompt: shop · tiny-llama")
        await w.answered("one two")
        await w.write("/new")
        await w.not_see("prompt: shop")
        await w.write("/open")
        await w.until(lambda: isinstance(w.app.focused, ConversationList))
        await w.press("enter")
        await w.see("prompt: shop")

    window(story)
    assert branch()[-1].prompt_tokens == 4 + 2 + 4 + 3  # each message and its mark
    assert len(branch()) == 2


def test_what_is_drawn_otherwise_stands_in_the_title_of_its_conversation(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/set temperature 0.7")
        await w.see("temperature 0.7 · tiny-llama")
        await w.answered("one two")
        await w.see("temperature 0.7 · tiny-llama")
        await w.write("/new")
        await w.not_see("temperature 0.7")
        await w.write("/open")
        await w.until(lambda: isinstance(w.app.focused, ConversationList))
        await w.press("enter")
        await w.see("temperature 0.7 · tiny-llama")
        await w.write("/set temperature 0")
        await w.not_see("temperature 0.7")
        assert "temperature" not in w.text.split("\n")[0], "the settings say 0 as well"

    window(story)


def test_a_theme_is_used_now_and_kept(window: Tell, tiny: Paths) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.write("/theme light")
        await w.until(lambda: w.app.theme == LIGHT.name)
        await w.write("/theme contrast")
        await w.until(lambda: w.app.theme == "lora-contrast")
        await w.write("/theme red")
        await w.hear("Write /theme and one of dark, light, contrast, mono.")
        await w.write("/theme dark")
        await w.until(lambda: w.app.theme == DARK.name)
        await w.until(lambda: 'theme = "dark"' in tiny.config.read_text("utf-8"))

    window(story)


# Completion and the palette


def test_tab_takes_enter_sends_a_whole_one_and_esc_closes(window: Tell, worn: str) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        offered = w.app.chat.query_one(Completions)
        await w.until(lambda: w.app.chat.asking.adapters)
        await w.type("/adapter u")
        await w.until(lambda: offered.display)
        await w.press("escape")
        assert not offered.display
        await w.press("s")
        await w.until(lambda: offered.display)
        await w.press("enter")  # it wants a name: not sent
        assert w.prompt.text == "/adapter use "
        await w.until(lambda: offered.chosen is not None and offered.chosen.line == "/adapter use shop")
        await w.press("tab")
        assert w.prompt.text == "/adapter use shop"
        await w.until(lambda: not offered.display)
        await w.press("enter")
        await w.see("▎shop ›")
        await w.type("/adapter o")
        await w.until(lambda: offered.display)
        await w.press("down", "up", "enter")
        await w.hear("Wearing nothing")

    window(story)


def test_what_can_be_named_is_offered_once_it_is_known_unless_the_list_was_closed(window: Tell, worn: str) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        offered, asking = w.app.chat.query_one(Completions), w.app.chat.asking
        known = [*asking.adapters, ("shop-2", "")]
        asking.know_adapters([])
        await w.type("/adapter use ")
        assert offered.chosen is None
        asking.know_adapters(known[:1])
        assert offered.chosen is not None
        assert offered.chosen.line == "/adapter use shop"
        assert w.prompt.completing
        asking.know_adapters([*known[1:], *known[:1]])
        assert [each.label for each in offered.choices] == ["shop-2", "shop"]
        assert offered.chosen.line == "/adapter use shop", "what was looked at is looked at"
        await w.press("escape")
        asking.know_adapters(known)
        assert not offered.display
        await w.press("s")
        await w.until(lambda: offered.display)

    window(story)


def test_a_command_in_one_burst_with_enter_is_sent_whole(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.press("/")
        await w.until(lambda: w.prompt.completing)
        for key in [*"help", "enter"]:
            w.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await w.until(lambda: isinstance(w.app.screen, HelpScreen))

    window(story)


def test_the_palette_has_every_command_and_fills_the_prompt_where_words_are_wanted(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        found = list(w.app.get_system_commands(w.app.screen))
        assert [each.title for each in found] == [f"/{command.words}" for command in COMMANDS]
        assert [Content.from_markup(each.help).plain for each in found] == [
            f"{command.argument}: {command.help}".removeprefix(": ") for command in COMMANDS
        ]
        await w.press("ctrl+p")
        await w.see("/adapter list")
        await w.type("rename")
        await w.not_see("/adapter list")
        await w.see("another title")
        await w.press("enter")
        await w.until(lambda: w.prompt.text == "/rename ")

    window(story)
