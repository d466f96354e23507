"""What people are told of keys and commands. Owns those words; what a key does is its binding's."""

from __future__ import annotations

from lora_chat.tui.keymap import Keymap

_KEYS = (
    ("{prompt.send}", "send"),
    ("{prompt.newline}", "new line (shift+enter where the terminal sends it)"),
    ("@", "a file goes with the message: its name, which Tab completes"),
    ("{prompt.older} {prompt.newer}", "earlier and later prompts"),
    ("{chat.stop}", "stop the answer; where there is none, {chat.back} goes to the answers"),
    (
        "{transcript.before} {transcript.after} in the answers",
        "choose one: {transcript.edit} edit, {transcript.good} good, {transcript.bad} bad, {transcript.retry} retry, "
        "{transcript.more} more, {transcript.copy} copy, {transcript.code-1}…{transcript.code-9} code, "
        "{transcript.delete} delete, {transcript.undo} undo, {transcript.thought} thought, "
        "{transcript.other-before} {transcript.other-after} others",
    ),
    ("{chat.retry}", "retry the last answer"),
    ("{chat.edit}", "write the answer you wanted"),
    ("{chat.adapters}", "choose an adapter"),
    (
        "{chat.shelf}",
        "the adapters: {adapters.wear} wears, {adapters.install} install, {adapters.verify} verify, "
        "{adapters.remove} remove, {adapters.undo} undo, {adapters.filter} filter",
    ),
    (
        "{chat.bases}",
        "the base models: {bases.use} has one answer or brings it here, {bases.default} starts with it, "
        "{bases.remove} takes it away",
    ),
    ("{chat.editor}", "write the prompt in your own editor, the one VISUAL or EDITOR names"),
    ("{prompt.unfold}", "unfold what was pasted, where the cursor is; in the answers what is folded of a question"),
    ("{chat.training}", "look at the training"),
    (
        "{chat.list}",
        "the conversations: {list.open} opens, {list.new} new, {list.rename} rename, {list.pin} pin, "
        "{list.archive} archive, {list.delete} delete, {list.undo} undo",
    ),
    ("{chat.new}", "new conversation"),
    ("{chat.search}", "search everything that was said"),
    ("{app.palette}", "every command"),
    ("{chat.help}", "this help"),
    ("{app.copy}", "copy what is selected; else stop the answer, or clear the prompt"),
    ("{app.quit}", "quit"),
)

_EMPTY = (
    ("{prompt.send}", "sends; {prompt.newline} begins a new line"),
    ("/", "every command, with completion; {app.palette} has them too"),
    ("/adapter", "what this conversation can wear"),
    ("{chat.edit}", "write the answer you wanted; that is what is learnt"),
    ("/train", "from-history: a new adapter from your corrections"),
    ("/tour", "two minutes through the whole loop"),
)


def keys(keymap: Keymap) -> list[tuple[str, str]]:
    """For the help screen."""
    return [(keymap.told(key), keymap.told(does)) for key, does in _KEYS]


def empty(keymap: Keymap) -> list[tuple[str, str]]:
    """What an empty conversation teaches."""
    return [(keymap.told(key), keymap.told(does)) for key, does in _EMPTY]


def still_written(keymap: Keymap, *, elsewhere: bool) -> str:
    """Why a message cannot be sent yet."""
    where = " in another conversation" if elsewhere else ""
    return keymap.told(f"An answer is still being written{where}: {{chat.stop}} stops it, then send this.")
