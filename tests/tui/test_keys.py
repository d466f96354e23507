"""Keys of the person's own: they work, are shown wherever a key is named, and what is wrong with one is said."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from textual.message import Message

from lora_chat.errors import RefusedError
from lora_chat.paths import Paths
from lora_chat.sitting.commands import COMMANDS
from lora_chat.tui import bound
from lora_chat.tui.bound import PLACES, TYPED, all_bound
from lora_chat.tui.key_list import rows
from lora_chat.tui.key_names import read_key, read_keys, told
from lora_chat.tui.keymap import Keymap
from lora_chat.tui.remap import read_keymap
from lora_chat.tui.screens.bases import BasesScreen
from lora_chat.tui.screens.details import DetailsScreen
from lora_chat.tui.screens.help import HelpScreen
from lora_chat.tui.screens.training_plan import TrainingPlanScreen
from lora_chat.tui.screens.write_answer import WriteAnswer
from lora_chat.tui.teaching import empty, keys
from lora_chat.tui.widgets.keys import KeysLine
from tests.tui.conftest import Branch, Tell, Window, idle, texts
from tests.tui.examples import plan

TUI = Path(bound.__file__).parent


def settings(paths: Paths, *lines: str) -> None:
    """Below what the window's fixture wrote."""
    before = paths.config.read_text(encoding="utf-8") if paths.config.exists() else ""
    paths.config.write_text("\n".join([before, "[keys]", *lines, ""]), encoding="utf-8")


def line(w: Window) -> str:
    """The keys line of the screen on top."""
    return w.app.screen.query_one(KeysLine).render().plain


def keymap(folder: Path, *lines: str) -> Keymap:
    (folder / "config.toml").write_text("\n".join(["[keys]", *lines]), encoding="utf-8")
    return read_keymap(folder / "config.toml")


# At the window


def test_a_key_of_ones_own_works_in_the_chat_and_the_old_one_no_longer(
    window: Tell, tiny: Paths, branch: Branch
) -> None:
    settings(tiny, '"chat.retry" = "ctrl+w"', '"chat.edit" = "f9"')  # ctrl+w is the text area's own otherwise

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("hello")
        await w.until(lambda: "ctrl+w retry · f9 edit" in line(w))
        await w.press("ctrl+r", "ctrl+e")
        await idle(w)
        assert w.app.screen is w.app.chat
        assert len(w.app.chat.talk.views) == 2
        assert w.app.chat.talk.views[-1].shown.of == 1
        await w.press("ctrl+w")
        await w.until(lambda: w.app.chat.talk.views[-1].shown.of == 2)
        await idle(w)
        await w.press("f9")
        await w.until(lambda: isinstance(w.app.screen, WriteAnswer))

    window(story)
    assert texts(branch) == ["hello", "hello"]


def test_what_else_a_key_does_stays_where_one_of_it_is_moved(window: Tell, tiny: Paths) -> None:
    settings(tiny, '"chat.stop" = "f8"')

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("hello")
        await w.press("escape")
        await w.until(lambda: w.app.focused is w.app.chat.talk)
        await w.press("escape")
        await w.until(lambda: w.prompt.has_focus)

    window(story)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("key", ["f8", "escape"])
def test_an_essential_key_is_added_to_and_never_lost(window: Tell, tiny: Paths, says: dict[str, str], key: str) -> None:
    says["Count"] = " ".join(f"word{number}" for number in range(80))
    settings(tiny, '"chat.stop" = "f8"', '"prompt.send" = "f7"', '"app.quit" = "f6"')

    async def story(w: Window) -> None:
        await w.ready()
        await w.type("Count")
        await w.press("f7" if key == "f8" else "enter")
        await w.see("word1")
        await w.until(lambda: "f8 stop" in line(w))
        await w.write("And then?")
        await w.hear("f8 stops it, then send this")
        await w.press("ctrl+c", key)
        await w.see("stopped")
        await idle(w)
        w.prompt.write("")
        await w.press("ctrl+c")
        await w.hear("f6 quits.")
        await w.press("f6" if key == "f8" else "ctrl+q")
        await w.until(lambda: not w.app.is_running or w.app._exit)

    window(story)


def test_a_letter_of_the_answers_may_be_another_and_a_sign(window: Tell, tiny: Paths, branch: Branch) -> None:
    settings(tiny, '"transcript.good" = "+"', '"transcript.bad" = "x"', '"transcript.code-1" = "f7"')

    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("hello")
        await w.press("escape")
        await w.until(lambda: w.app.focused is w.app.chat.talk)
        await w.until(lambda: "+ good · x bad" in line(w))
        w.app.chat.talk.post_message(_key("plus", "+"))
        await w.until(lambda: branch()[-1].rating is not None)
        assert branch()[-1].rating == "good"
        await w.press("b")  # it is a letter again: what one writes goes to the prompt
        await w.until(lambda: w.prompt.text == "b")

    window(story)
    assert branch()[-1].rating == "good"


def test_a_key_of_ones_own_works_on_a_panel_and_the_old_one_no_longer(window: Tell, tiny: Paths) -> None:
    settings(tiny, '"plan.exclude" = "o"', '"plan.deeper" = "f9"', '"plan.back" = "ctrl+w"')

    async def story(w: Window) -> None:
        await w.ready()
        await w.app.push_screen(TrainingPlanScreen(plan()))
        await w.until(lambda: "o exclude" in line(w))
        await w.until(lambda: "← f9 effort" in line(w))
        assert line(w).endswith("ctrl+w back")
        await w.press("space")
        await w.still()
        assert "There is nothing to learn" not in w.text
        await w.press("o")
        await w.see("There is nothing to learn")  # what is left is counted anew, in a history without answers
        await w.press("ctrl+w")
        await w.until(lambda: w.app.screen is w.app.chat)

    window(story, (160, 40))


def test_the_lists_own_keys_move_with_it(window: Tell, tiny: Paths) -> None:
    settings(tiny, '"bases.filter" = "f6"', '"choices.down" = "j, down"', '"chat.bases" = "f12"')

    async def story(w: Window) -> None:
        await w.ready()
        await w.press("f3")
        await w.press("f12")
        await w.until(lambda: isinstance(w.app.screen, BasesScreen))
        await w.until(lambda: "f6 filter" in line(w))
        await w.press("j")
        await w.until(lambda: "bring it here" in line(w))

    window(story, (160, 40))


def test_the_palette_can_be_moved(window: Tell, tiny: Paths) -> None:
    settings(tiny, '"app.palette" = "f10"')

    async def story(w: Window) -> None:
        await w.ready()
        await w.see("f10 has them too")
        await w.press("ctrl+p")
        await w.press("f10")
        await w.see("/adapter list")

    window(story)


def test_help_keys_and_the_empty_talk_name_the_keys_that_work(window: Tell, tiny: Paths) -> None:
    settings(tiny, '"chat.edit" = "f9"', '"chat.help" = "f12"', '"prompt.newline" = "f7, shift+enter"')

    async def story(w: Window) -> None:
        await w.ready()
        await w.see("sends; f7 begins a new line")
        await w.see("f9")
        await w.press("f12")
        await w.until(lambda: isinstance(w.app.screen, HelpScreen))
        await w.press("escape")
        await w.until(lambda: w.app.screen is w.app.chat)
        await w.write("/keys")
        await w.until(lambda: isinstance(w.app.screen, DetailsScreen))
        await w.see("chat.edit: f9 (instead of ctrl+e) · edit · or /edit")

    window(story, (120, 40))
    mine = keys(read_keymap(tiny.config))
    assert ("f9", "write the answer you wanted") in mine
    assert ("f12", "this help") in mine
    assert len(mine) == len(keys(Keymap()))


def test_what_is_wrong_is_said_and_the_window_opens_all_the_same(window: Tell, tiny: Paths) -> None:
    settings(tiny, '"chat.rety" = "f9"', '"chat.edit" = "f8"')

    async def story(w: Window) -> None:
        await w.ready()
        await w.hear('"chat.rety" below [keys]')
        await w.hear("did you mean chat.retry?")
        await w.answered("hello")
        await w.until(lambda: "ctrl+r retry · f8 edit" in line(w))

    window(story)


def test_of_many_wrong_ones_a_few_are_said(window: Tell, tiny: Paths) -> None:
    settings(tiny, *(f'"chat.nothing{n}" = "f9"' for n in range(6)))

    async def story(w: Window) -> None:
        await w.ready()
        await w.hear("4 more entries of it are not used: /keys says why.")
        assert len(w.told) == 3

    window(story)


def test_without_the_table_nothing_is_changed(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        assert w.app.keymap == Keymap()
        await w.answered("hello")
        await w.until(lambda: "ctrl+r retry · ctrl+e edit" in line(w))

    window(story)


def _key(name: str, character: str) -> Message:
    from textual.events import Key

    return Key(name, character)


# What the settings say


def test_the_settings_are_read_as_people_write_them(tmp_path: Path) -> None:
    found = keymap(
        tmp_path,
        '"chat.retry" = "Ctrl+Y, f9"',
        'chat.new = "alt+n"',
        '"list.new" = ["+", "?"]',
        '"prompt.send" = "f7"',
        '"chat.stop" = "esc"',
    )
    assert found.problems == ()
    assert dict(found.changed) == {
        "chat.retry": ("ctrl+y", "f9"),
        "chat.new": ("alt+n",),
        "list.new": ("plus", "question_mark"),
        "prompt.send": ("f7", "enter"),
        "chat.stop": ("escape",),
    }


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('"chat.rety" = "f9"', "is nothing that has a key; did you mean chat.retry?"),
        ('"x" = "f9"', "`lora-chat keys` lists what has one."),
        ('"chat.retry" = "ctrl+escap"', 'names the key "ctrl+escap", which is none; did you mean escape?'),
        ('"chat.retry" = "crtl+y"', "did you mean ctrl?"),
        ('"chat.retry" = "ctrl+i"', "names ctrl+i, which terminals send as tab"),
        ('"chat.retry" = 3', 'must be a text in quotes, such as "ctrl+y", not 3.'),
        ('"chat.retry" = ["f9", 3]', "must be a text in quotes"),
        ('"chat.retry" = ""', "names no key"),
        ('"chat.retry" = ","', "names no key"),
        ('"chat.retry" = "y"', "names y, which is needed to write there"),
        ('"chat.retry" = "space"', "names space, which is needed to write there"),
        ('"picker.list" = "left"', "names ←, which is needed to write there"),
        ('"checks.keep-words" = "k"', "names k, which is needed to write there"),
        ('"app.palette" = "?"', "names ?, which is needed to write there"),
        ('"chat.retry" = "enter"', "The key enter of chat.retry"),
        ('"chat.retry" = "ctrl+e"', "is that of chat.edit already: choose another for one of them."),
        ('"chat.retry" = "ctrl+q"', "is that of app.quit already"),
        ('"transcript.good" = "m"', "is that of transcript.more already"),
        ('"transcript.good" = "ctrl+r"', "is that of chat.retry already"),
        ('"bases.default" = "escape"', "is that of bases."),
        ('"bases.default" = "down"', "is that of choices.down already"),
        ('"prompt.newline" = "enter"', "is that of prompt.send already"),
    ],
)
def test_a_wrong_entry_is_one_sentence_and_changes_nothing(tmp_path: Path, entry: str, said: str) -> None:
    found = keymap(tmp_path, entry, '"chat.list" = "f9"' if "f9" not in entry else '"chat.list" = "f8"')
    assert len(found.problems) == 1
    assert said in found.problems[0]
    assert str(tmp_path / "config.toml") in found.problems[0]
    assert found.problems[0].endswith((".", "?"))
    assert set(found.changed) == {"chat.list"}


def test_hostile_names_are_only_text(tmp_path: Path) -> None:
    (problem,) = keymap(tmp_path, r'"chat.\u001b[31m\u202e" = "f9"').problems
    assert "\x1b" not in problem
    assert "\u202e" not in problem
    (problem,) = keymap(tmp_path, r'"chat.retry" = "\u001b[31m\u202e"').problems
    assert "\x1b" not in problem
    assert "\u202e" not in problem


def test_two_keys_can_change_places_and_of_two_on_one_the_later_gives_way(tmp_path: Path) -> None:
    swapped = keymap(tmp_path, '"chat.retry" = "ctrl+e"', '"chat.edit" = "ctrl+r"')
    assert swapped.problems == ()
    both = keymap(tmp_path, '"chat.retry" = "f9"', '"chat.edit" = "f9"')
    assert set(both.changed) == {"chat.retry"}
    assert "The key f9 of chat.edit" in both.problems[0]
    assert "that of chat.retry already" in both.problems[0]
    chain = keymap(tmp_path, '"chat.retry" = "ctrl+e"', '"chat.edit" = "ctrl+l"')
    assert not chain.changed, "who cannot move stays in the way of the other"
    assert len(chain.problems) == 2


def test_what_unfolds_in_the_prompt_unfolds_in_the_answers_too(tmp_path: Path) -> None:
    moved = keymap(tmp_path, '"prompt.unfold" = "f9"')
    assert moved.keys("transcript.unfold") == moved.keys("prompt.unfold") == ("f9",)
    assert [row.remapped for row in rows(moved) if row.id.endswith(".unfold")] == [True, True]
    own = keymap(tmp_path, '"prompt.unfold" = "f9"', '"transcript.unfold" = "o"')
    assert own.keys("transcript.unfold") == ("o",)
    wrong = keymap(tmp_path, '"prompt.unfold" = "f9"', '"transcript.unfold" = "no key"')
    assert wrong.keys("transcript.unfold") == ("ctrl+o", "f5"), "what is wrong keeps its keys"
    taken = keymap(tmp_path, '"prompt.unfold" = "f9"', '"transcript.copy" = "f9"')
    assert taken.keys("transcript.unfold") == ("ctrl+o", "f5")
    assert not taken.problems


def test_what_is_never_wanted_at_one_time_may_share_a_key(tmp_path: Path) -> None:
    found = keymap(
        tmp_path, '"bases.default" = "i"', '"transcript.good" = "n"', '"plan.exclude" = "f9"', '"chat.new" = "f9"'
    )
    assert found.problems == ()
    assert len(found.changed) == 4


@pytest.mark.parametrize("content", ["keys = 3", "[keys", "[[keys]]"])
def test_no_table_at_all_is_said_and_is_no_keymap(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.toml").write_text(content, encoding="utf-8")
    found = read_keymap(tmp_path / "config.toml")
    assert not found.changed
    assert len(found.problems) == 1


# Names of keys


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("ctrl+y", "ctrl+y"),
        ("Ctrl+Y", "ctrl+y"),
        ("ctrl + y", "ctrl+y"),
        ("shift+ctrl+a", "ctrl+shift+a"),
        ("shift+y", "Y"),
        ("Y", "Y"),
        ("esc", "escape"),
        ("PgDn", "pagedown"),
        ("?", "question_mark"),
        ("/", "slash"),
        ("+", "plus"),
        ("ctrl++", "ctrl+plus"),
        ("comma", "comma"),
        ("é", "é"),
        ("option+x", "alt+x"),
        ("F5", "f5"),
    ],
)
def test_a_key_is_read_as_people_write_it(written: str, key: str) -> None:
    assert read_key(written) == key
    assert read_key(told(key)) == key, "and as it is told"


@pytest.mark.parametrize("written", ["", "f25", "escap", "a b", "ctrl+", "crtl+y", "ctrl+m", "ctrl+[", "banana"])
def test_what_is_no_key_is_refused(written: str) -> None:
    with pytest.raises(RefusedError):
        read_key(written)


def test_each_key_is_named_once() -> None:
    assert read_keys("f5, F5, esc, escape") == ("f5", "escape")


# The one table


def bindings() -> list[tuple[str, str]]:
    """(file, id) of every binding in the source; an id that is made in a loop as it is written."""
    found = []
    for path in sorted(TUI.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Binding":
                named = [ast.unparse(each.value) for each in node.keywords if each.arg == "id"]
                found.append((path.name, named[0].strip("'") if named else ""))
    return found


def test_every_binding_has_an_id_and_is_in_the_table() -> None:
    known = {each.id for each in all_bound()}
    for file, id in bindings():
        if id.startswith(("f'transcript.code-", "f'compare.code-")):
            continue
        assert id in known, f"{file} binds {id or 'a key without an id'}"
        assert re.fullmatch(r"[a-z]+\.[a-z0-9-]+", id), id
    assert {f"{place}.code-{number}" for place in ("transcript", "compare") for number in range(1, 10)} <= known
    assert {id.partition(".")[0] for id in known} == set(PLACES)
    assert all(row.does for row in rows(Keymap())), "each says what it does"


def test_every_sentence_takes_its_keys_from_the_table() -> None:
    """No text of the window names a key by itself, and each ``{id}`` in one is known."""
    named = re.compile(r"\bctrl\+|\bshift\+|\balt\+|\besc\b|\bf\d{1,2}\b|\bEnter\b", re.IGNORECASE)
    known = {each.id for each in all_bound()}
    allowed = {"key_names.py", "bound.py", "remap.py"}
    for path in sorted(TUI.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        skipped: set[int] = set()
        for node in ast.walk(tree):
            is_binding = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Binding"
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if is_binding or is_docstring:
                skipped |= {id(each) for each in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
                for found in re.findall(r"\{([a-z]+\.[a-z0-9-]+)\}", node.value):
                    assert found in known, f"{path.name}: {node.value}"
                if path.name not in allowed and " " in node.value:
                    text = node.value.replace("shift+enter where the terminal sends it", "")
                    assert not named.search(text), f"{path.name} names a key: {node.value}"


def test_what_is_told_follows_the_keymap() -> None:
    mine = Keymap({"chat.edit": ("f9",), "prompt.send": ("f7", "enter"), "plan.exclude": ("x",)})
    assert mine.told("{chat.edit} and {chat.retry}: {prompt.send}.") == "f9 and ctrl+r: f7."
    assert mine.told("{plan.exclude} does. {adapters.wear} too, {unknown}") == "x does. Enter too, {unknown}"
    assert Keymap().told("So. {plan.exclude} and {plan.exclude}") == "So. Space and space"
    assert ("f9", "write the answer you wanted; that is what is learnt") in empty(mine)


ZELLIJ = {
    *(f"ctrl+{letter}" for letter in "gptnhsoq"),
    *(
        f"alt+{key}"
        for key in ("n", "f", "i", "o", "p", "h", "j", "k", "l", "plus", "minus", "left", "right", "up", "down")
    ),
    *(f"alt+{key}" for key in ("equals_sign", "left_square_bracket", "right_square_bracket")),
}
TAKEN = {
    "tmux": {"ctrl+b"},
    "screen": {"ctrl+a"},
    "zellij": ZELLIJ,
    "flow control and job control": {"ctrl+s", "ctrl+q", "ctrl+z", "ctrl+backslash"},
    "terminals": {
        "f1",  # help, in GNOME Terminal
        "f10",  # the menu
        "f11",  # the whole screen
        "alt+enter",  # the same, in Windows Terminal
        "ctrl+tab",
        "ctrl+shift+tab",
        "ctrl+plus",
        "ctrl+minus",
        "ctrl+0",
        "ctrl+enter",  # without the protocol of kitty it is Enter
        "shift+enter",
        "shift+insert",
        "shift+pageup",
        "shift+pagedown",
        "shift+home",
        "shift+end",
        *(f"alt+{digit}" for digit in range(10)),
    },
    "desktops": {"alt+tab", "alt+f4", "ctrl+up", "ctrl+down", "ctrl+left", "ctrl+right"},
    "screen readers": {"insert", "ctrl+alt+space", "ctrl+alt+left", "ctrl+alt+right", "ctrl+alt+up", "ctrl+alt+down"},
}
"""What does not reach a program everywhere, by who takes it."""


def is_taken(key: str) -> bool:
    return key.startswith(("ctrl+shift+", "super+", "hyper+", "meta+")) or any(key in keys for keys in TAKEN.values())


def test_nothing_relies_on_a_key_that_something_else_takes() -> None:
    commands = {command.words for command in COMMANDS}
    for each in all_bound():
        free = [key for key in each.keys if not is_taken(key)]
        assert free or each.id in TYPED, f"{each.id} has only {each.keys}"
    for id, typed in TYPED.items():
        assert id in {each.id for each in all_bound()}, id
        assert typed.removeprefix("/") in commands, typed
