"""The door to what will be learnt: from the history or from a file to a selection. Owns no rule; never tokenises."""

from lora_chat.training.choosing.files import select_from_file
from lora_chat.training.choosing.history import HistoryFilter, select_from_history
from lora_chat.training.lesson import EXCLUDED, Lesson, Selection

__all__ = ["EXCLUDED", "HistoryFilter", "Lesson", "Selection", "select_from_file", "select_from_history"]
