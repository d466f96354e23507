"""What this plugin uses of lora-chat. Owns the list, so that it is seen at a glance; adds nothing of its own."""

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
    "EngineError",
    "FinishReason",
    "Finished",
    "InstalledBase",
    "LoraChatError",
    "NotFoundError",
    "Probe",
    "RefusedError",
    "Request",
    "Role",
    "Sampling",
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
    "is_uniform",
    "load_verified",
    "mixed",
    "plain_config",
    "read_adapter",
    "read_manifest_of",
    "spelt",
    "uniform_weights",
]
