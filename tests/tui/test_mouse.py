"""The mouse works and is never needed: whatever a click does, a key or a command does too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_chat.sitting import commands
from lora_chat.tui import bound

TUI = Path(bound.__file__).parent

CLICKS = {
    "palette.py:Palette._once": "app.palette",
    "screens/adapter_picker.py:AdapterPicker.on_option_list_option_selected": "picker.up picker.down picker.wear",
    "screens/adapters.py:AdaptersScreen.on_option_list_option_selected": "choices.up choices.down",
    "screens/bases.py:BasesScreen.on_option_list_option_selected": "choices.up choices.down",
    "screens/confirm.py:ConfirmScreen.on_button_pressed": "confirm.yes confirm.no",
    "screens/leave.py:LeaveScreen.on_button_pressed": "leave.pause leave.finish leave.stay",
    "screens/search.py:SearchScreen.on_option_list_option_selected": "search.up search.down search.open",
    "widgets/answer_column.py:AnswerColumn.on_click": "compare.left compare.right",
    "widgets/banner.py:Banner.on_click": "chat.put-away",
    "widgets/body.py:Body.on_click": "transcript.code-1 transcript.code-9 compare.code-1 compare.code-9 /copy code 10",
    "widgets/conversation_list.py:ConversationList.on_option_list_option_selected": "list.up list.down list.open /open",
    "widgets/earlier.py:Earlier.on_click": "transcript.before transcript.top transcript.page-up",
    "widgets/folding.py:Folding.on_click": "prompt.unfold",
    "widgets/keys.py:KeysLine.on_click": "app.palette",  # it is the key that is clicked on
    "widgets/message.py:MessageView.on_click": "transcript.before transcript.after",
    "widgets/question.py:Folded.on_click": "transcript.unfold",
    "widgets/saying.py:Fold.on_click": "transcript.thought compare.thought",
}
"""Whatever hears the mouse, and the ids of the keys, or the command, that do the same."""

OPERABLE = {
    "Button": "confirm.left confirm.right leave.left leave.right",
    "Input": "adapters.filter adapters.install bases.filter checks.own",
    "OptionList": "choices.up choices.down choices.first choices.last choices.page-up choices.page-down",
    "TextArea": "prompt.send write.keep",
}
"""Textual's own that hear the mouse, of those that are used here, and what comes to them or works in them."""

STILL = {"ProgressBar", "Static"}
"""Textual's own that do not."""

SCROLLED = {
    "Pane": "pane.up pane.down confirm.up confirm.down",
    "Follows": "transcript.page-up transcript.page-down transcript.top transcript.end",
}
"""What has a bar to be pulled."""

_MOUSE = ("click", "mouse_down", "mouse_up", "mouse_move", "button_pressed", "option_selected", "link_clicked")


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for path in sorted(TUI.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield path.relative_to(TUI).as_posix(), node


def hears_the_mouse(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """By its name, as Textual finds it, by its decorator, or by what it is given."""
    by_name = method.name.lstrip("_").startswith("on_") and any(method.name.endswith(each) for each in _MOUSE)
    events = " ".join(ast.unparse(each.annotation) for each in method.args.args if each.annotation)
    by_event = method.name.lstrip("_").startswith("on_") and any(
        f"{event}" in events for event in ("Click", "MouseDown", "MouseUp", "OptionSelected", "Button.Pressed")
    )
    decorators = [ast.unparse(each) for each in method.decorator_list if ast.unparse(each).startswith("on(")]
    names = ("Click)", "Pressed", "MouseDown", "MouseUp", "OptionSelected")
    return by_name or by_event or any(name in each for each in decorators for name in names)


def heard() -> set[str]:
    return {
        f"{file}:{node.name}.{method.name}"
        for file, node in classes()
        for method in node.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and hears_the_mouse(method)
    }


def used() -> set[str]:
    """The names of Textual's own widgets that are imported."""
    found = set()
    for path in TUI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "textual.widgets":
                found |= {each.name for each in node.names}
    return found


def scrolled() -> set[str]:
    """What is made of containers with bars, and such containers that are used as they are."""
    bars, used_as_they_are = {"VerticalScroll", "ScrollableContainer", "HorizontalScroll", "ScrollView"}, set()
    for path in TUI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in bars:
                used_as_they_are.add(node.func.id)
    return used_as_they_are | {node.name for _, node in classes() if {ast.unparse(each) for each in node.bases} & bars}


def test_whatever_hears_the_mouse_is_in_the_table() -> None:
    assert heard() == set(CLICKS), "say in CLICKS which key or command does the same"


def test_what_of_textual_s_hears_the_mouse_is_in_the_table() -> None:
    assert used() == set(OPERABLE) | STILL, "say in OPERABLE which keys do the same, or put it into STILL"
    assert scrolled() == set(SCROLLED), "say in SCROLLED which keys scroll it"


def test_there_are_no_links_that_act() -> None:
    for path in TUI.rglob("*.py"):
        text = path.read_text("utf-8")
        assert "@click" not in text, f"{path.name}: a link has no key"
        assert "markup=True" not in text


@pytest.mark.parametrize("told", [*CLICKS.values(), *OPERABLE.values(), *SCROLLED.values()])
def test_what_does_the_same_is_there(told: str) -> None:
    words, _, command = told.partition("/")
    for id in words.split():
        assert bound.find(id).keys, id
    if command:
        assert commands.find(command)[0].words == command.split()[0]
