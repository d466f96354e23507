"""What text goes through in a base that sees and hears: its towers and projectors are neither trained nor counted."""

from __future__ import annotations

import pytest

from lora_chat.adapters.signature import BaseSignature, goes_text_through

READ = (
    "model.layers.0.self_attn.q_proj",
    "model.language_model.layers.3.mlp.gate_proj",
    "model.language_model.layers.3.per_layer_projection",
    "model.decoder.layers.1.fc1",
    "transformer.h.0.attn.c_attn",
    "git.encoder.layer.0.attention.self.query",
    "model.layers.0.feed_forward.shared_expert.imagine_proj",
)
SEEN_OR_HEARD = (
    "model.vision_tower.encoder.layers.26.self_attn.q_proj",
    "vision_tower.vision_model.head.mlp.fc1",
    "model.visual.blocks.0.attn.qkv",
    "model.multi_modal_projector.linear_1",
    "model.mm_projector.0",
    "model.embed_vision.embedding_projection",
    "model.audio_tower.layers.0.fc2",
    "model.embed_tokens_extend.image_embed.img_projection_up",
    "model.embed_tokens_extend.audio_embed.up_proj_for_speech",
    "git.image_encoder.vision_model.encoder.layers.0.mlp.fc1",
)


def test_names_of_what_reads_text_and_of_what_does_not() -> None:
    assert [name for name in READ if not goes_text_through(name)] == []
    assert [name for name in SEEN_OR_HEARD if goes_text_through(name)] == []


@pytest.mark.parametrize(("names", "kept"), [((*READ, *SEEN_OR_HEARD), READ), (READ, READ), (SEEN_OR_HEARD,) * 2])
def test_a_signature_keeps_all_modules_and_counts_those_of_the_text(
    names: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    signature = BaseSignature("", "", dict.fromkeys(names, (2, 1)), "", "", "")
    assert tuple(signature.text_modules) == kept
    assert tuple(signature.modules) == names
