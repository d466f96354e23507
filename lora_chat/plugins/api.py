"""All that a plugin may use, beside ``engine_api``. Owns the list; what stands here stays, and nothing else does.

Importing it loads nothing heavy. ``docs/plugins.md`` has an example for each hook.
"""

from lora_chat.chat.conversation import Role, Turn
from lora_chat.chat.transcript import Problem, Transcript
from lora_chat.plugins.command_api import CommandCall, CommandRegistrar, Say, Write
from lora_chat.plugins.hookspecs import hookimpl
from lora_chat.plugins.registrars import (
    EngineRegistrar,
    EngineSettings,
    Example,
    ExampleFilterRegistrar,
    ExporterRegistrar,
    ImporterRegistrar,
    ModelSourceRegistrar,
    Progress,
    Refused,
    SavedConversation,
    SavedMessage,
)
from lora_chat.plugins.streaming import begins_with_keys, json_array

__all__ = [
    "CommandCall",
    "CommandRegistrar",
    "EngineRegistrar",
    "EngineSettings",
    "Example",
    "ExampleFilterRegistrar",
    "ExporterRegistrar",
    "ImporterRegistrar",
    "ModelSourceRegistrar",
    "Problem",
    "Progress",
    "Refused",
    "Role",
    "SavedConversation",
    "SavedMessage",
    "Say",
    "Transcript",
    "Turn",
    "Write",
    "begins_with_keys",
    "hookimpl",
    "json_array",
]
