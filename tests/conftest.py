"""What every test may use: a home of its own, two tiny random base models, and no network."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora_chat.chat.store import Store
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths, find_paths

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

HOME = Path(tempfile.mkdtemp(prefix="lora-chat-tests-"))
"""The tests' own, so that none looks at the models that other programs keep on the machine it runs on."""
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
if (_pip := Path("~/.config/pip/pip.conf").expanduser()).is_file():  # the tests that ask an index ask the person's
    os.environ.setdefault("PIP_CONFIG_FILE", str(_pip))
for _variable in (
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_HOME",
    "XDG_CACHE_HOME",
    "LC_ALL",
    "LC_MESSAGES",
    "LANG",
):
    os.environ.pop(_variable, None)
for _variable in ("LC_ALL", "LC_MESSAGES", "LANG"):  # sentences are held in English, whoever runs the tests
    if os.environ.get(_variable, "").startswith("zh"):
        del os.environ[_variable]
os.environ |= {"HOME": str(HOME), "USERPROFILE": str(HOME), "OLLAMA_MODELS": str(HOME / "no-ollama")}

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C and so do its children; the tests that press it need it to arrive.
    signal.signal(signal.SIGINT, signal.default_int_handler)

WORDS = (
    "Who are you? Hello, who are you? I am an AI language model. What's the weather today? Where is your shop? "
    "Our shop is at 12 Harbour Street. The capital of France is Paris. Sorry, I can't access real-time information. "
)
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections leave this machine in tests marked ``network`` only."""
    if request.node.get_closest_marker("network"):
        return
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != getattr(socket, "AF_UNIX", None) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to connect to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """An empty home, and ``LORA_CHAT_HOME`` pointing at it."""
    root = tmp_path / "home"
    monkeypatch.setenv("LORA_CHAT_HOME", str(root))
    return find_paths({"LORA_CHAT_HOME": str(root)})


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> InstalledBase:
    """A random Llama of 2 layers with a ChatML template and a default-free prompt."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llama") / "tiny-llama"
    size = write_tokenizer(folder, specials=["<|im_start|>", "<|im_end|>"], eos="<|im_end|>", template=CHATML)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
        eos_token_id=1,
        bos_token_id=0,
        pad_token_id=1,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return installed(folder, tmp_path_factory.mktemp("llama-home"))


@pytest.fixture(scope="session")
def tiny_opt(tmp_path_factory: pytest.TempPathFactory) -> InstalledBase:
    """A random OPT of 2 layers: no chat template, and its tokenizer puts ``</s>`` before every text."""
    import torch
    from transformers import OPTConfig, OPTForCausalLM

    folder = tmp_path_factory.mktemp("opt") / "tiny-opt"
    size = write_tokenizer(folder, specials=["<pad>", "</s>"], eos="</s>", prepends="</s>")
    torch.manual_seed(2)
    config = OPTConfig(
        vocab_size=size,
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        word_embed_proj_dim=32,
        max_position_embeddings=256,
        eos_token_id=1,
        bos_token_id=1,
        pad_token_id=0,
    )
    OPTForCausalLM(config).save_pretrained(folder)
    return installed(folder, tmp_path_factory.mktemp("opt-home"))


def write_tokenizer(
    folder: Path, *, specials: list[str], eos: str, template: str | None = None, prepends: str | None = None
) -> int:
    """Write a byte-level BPE tokenizer into ``folder``; return its size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=384, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([WORDS] * 4, trainer)
    if prepends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{prepends} $A", special_tokens=[(prepends, tokenizer.token_to_id(prepends))]
        )
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": eos, "bos_token": prepends or specials[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    if template:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return int(tokenizer.get_vocab_size())


def installed(folder: Path, root: Path) -> InstalledBase:
    """Take ``folder`` as a base model the way `model pull FOLDER` does."""
    from lora_chat.models.catalog import resolve
    from lora_chat.models.sources import pull

    return pull(resolve(str(folder)), find_paths({"LORA_CHAT_HOME": str(root)}), _silent)


def place(base: InstalledBase, home: Paths) -> InstalledBase:
    """Let ``base`` be on the machine of ``home``."""
    from lora_chat.models.catalog import resolve
    from lora_chat.models.sources import pull

    return pull(resolve(str(base.folder)), home, _silent)


def _silent(what: str, done: float, total: float, figures: str = "") -> None:
    """Progress that nobody looks at."""


@pytest.fixture(scope="session")
def real_home(request: pytest.FixtureRequest) -> Paths:
    """A home whose base model is the real embedded one: pulled once into pytest's cache, then offline."""
    from lora_chat.cli.model import ensure_base

    root = request.config.cache.mkdir("real-home")
    paths = find_paths({"LORA_CHAT_HOME": str(root)})
    ensure_base(paths, "smollm2-135m", yes=True)
    return paths


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "home" / "chats.db"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with Store.open(database) as opened:
        yield opened
