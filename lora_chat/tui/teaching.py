"""What people are told of keys and commands. Owns those words; what a key does is its binding's."""

from __future__ import annotations

KEYS = (
    ("Enter", "send"),
    ("ctrl+j", "new line (shift+enter where the terminal sends it)"),
    ("@", "a file goes with the message: its name, which Tab completes"),
    ("up, down", "earlier and later prompts"),
    ("esc", "stop the answer; else to the answers"),
    (
        "↑ ↓ in the answers",
        "choose one: e edit, g good, b bad, r retry, m more, c copy, 1…9 code, d delete, u undo, t thought, ← → others",
    ),
    ("ctrl+r", "retry the last answer"),
    ("ctrl+e", "write the answer you wanted"),
    ("ctrl+g", "choose an adapter"),
    ("f2", "the adapters: Enter wears, i install, v verify, d remove, u undo, / filter"),
    ("f3", "the base models: Enter has one answer or brings it here, s starts with it, d takes it away"),
    ("f4", "write the prompt in your own editor, the one VISUAL or EDITOR names"),
    ("ctrl+o", "unfold what was pasted, where the cursor is; in the answers what is folded of a question"),
    ("ctrl+t", "look at the training"),
    ("ctrl+l", "the conversations: Enter opens, n new, r rename, p pin, a archive, d delete, u undo"),
    ("ctrl+n", "new conversation"),
    ("ctrl+f", "search everything that was said"),
    ("ctrl+p", "every command"),
    ("f1", "this help"),
    ("ctrl+c", "copy what is selected; else stop the answer, or clear the prompt"),
    ("ctrl+q", "quit"),
)
"""For the help screen."""

EMPTY = (
    ("Enter", "sends; ctrl+j begins a new line"),
    ("/", "every command, with completion; ctrl+p has them too"),
    ("/adapter", "what this conversation can wear"),
    ("ctrl+e", "write the answer you wanted; that is what is learnt"),
    ("/train", "from-history: a new adapter from your corrections"),
    ("/tour", "two minutes through the whole loop"),
)
"""What an empty conversation teaches."""
