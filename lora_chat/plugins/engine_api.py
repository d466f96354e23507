"""All that an engine of a plugin may use beside ``api``. Owns the list; what stands here stays, as there.

Its imports take a moment, which a plugin without an engine is spared. ``docs/plugins.md`` has an example.
"""

from lora_chat.adapters.mixture import mixed
from lora_chat.adapters.outgoing.plain import is_uniform, plain_config, uniform_weights
from lora_chat.adapters.peft_config import CONFIG_NAME
from lora_chat.adapters.scale import check_scale
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.verify import check_hashes, load_verified, read_manifest_of
from lora_chat.adapters.weights import WEIGHTS_NAME, AdapterFiles, read_adapter
from lora_chat.chat.conversation import Role, Turn
from lora_chat.chat.thought import CLOSES, OPENS
from lora_chat.engine.protocol import (
    BaseInfo,
    Chunk,
    Engine,
    Finished,
    FinishReason,
    Probe,
    Request,
    Sampling,
    TextChunk,
    Worn,
    check_sampling,
)
from lora_chat.engine.reply_text import StopHeld
from lora_chat.errors import (
    EngineError,
    LoraChatError,
    NotFoundError,
    RefusedError,
    TrainingError,
    did_you_mean,
)
from lora_chat.models.installed import InstalledBase
from lora_chat.plugins.hookspecs import hookimpl
from lora_chat.plugins.registrars import EngineRegistrar, EngineSettings, Refused
from lora_chat.plugins.simple_engine import SimpleEngine
from lora_chat.text import clean_line, spelt
from lora_chat.training.events import TrainingEvent

__all__ = [
    "CLOSES",
    "CONFIG_NAME",
    "OPENS",
    "WEIGHTS_NAME",
    "AdapterFiles",
    "BaseInfo",
    "BaseSignature",
    "Chunk",
    "Engine",
    "EngineError",
    "EngineRegistrar",
    "EngineSettings",
    "FinishReason",
    "Finished",
    "InstalledBase",
    "LoraChatError",
    "NotFoundError",
    "Probe",
    "Refused",
    "RefusedError",
    "Request",
    "Role",
    "Sampling",
    "SimpleEngine",
    "StopHeld",
    "TextChunk",
    "TrainingError",
    "TrainingEvent",
    "Turn",
    "Worn",
    "check_hashes",
    "check_sampling",
    "check_scale",
    "clean_line",
    "did_you_mean",
    "hookimpl",
    "is_uniform",
    "load_verified",
    "mixed",
    "plain_config",
    "read_adapter",
    "read_manifest_of",
    "spelt",
    "uniform_weights",
]
