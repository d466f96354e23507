"""What the store's tests share: a real database on the disk, and programs beside this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lora_chat
from lora_chat.chat.conversation import Message, Role
from lora_chat.chat.store import Store

Start = Callable[..., "subprocess.Popen[str]"]
"""``start(code, *arguments)``: another Python program, its stdout a pipe."""


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: object) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(Path(lora_chat.__file__).parents[1])}
        command = [sys.executable, "-c", code, *map(str, arguments)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


def talk(store: Store, *texts: str) -> list[Message]:
    """A new conversation of these texts, the person's first."""
    conversation = store.create_conversation().id
    messages: list[Message] = []
    for number, text in enumerate(texts):
        parent = messages[-1].id if messages else None
        role = Role.ASSISTANT if number % 2 else Role.USER
        messages.append(store.add_message(conversation, role, text, parent=parent))
    return messages


def contents(messages: list[Message]) -> list[str]:
    return [message.content for message in messages]
