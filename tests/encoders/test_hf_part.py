"""Loading one side: what another side holds is never read, and what is loaded is what the whole model would give."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from isomorph.encoders import load_encoder
from isomorph.errors import InputError

TEXTS = ["a small bird", "two boats on a river in the rain"]


@pytest.fixture
def changed(checkpoint, tmp_path):
    """A copy of a checkpoint whose weights were changed."""

    def copy(kind, change):
        folder = shutil.copytree(checkpoint(kind), tmp_path / kind)
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file({k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors", {"format": "pt"})
        return str(folder)

    return copy


def test_weights_of_another_side_are_never_read(changed, checkpoint):
    def break_the_vision_tower(state):
        for name in [n for n in state if n.startswith("vision_model.")]:
            state[name] = torch.zeros(3)  # of no size that could be read into the network

    folder = changed("clip", break_the_vision_tower)
    there = load_encoder(folder, side="text").encode(TEXTS)
    whole = load_encoder(str(checkpoint("clip")), side="text").encode(TEXTS)
    assert all(np.array_equal(there[layer], whole[layer]) for layer in whole)
    with pytest.raises(InputError, match=r"of another size than its config\.json says"):
        load_encoder(folder, side="vision")


def test_a_loaded_side_holds_its_own_weights_alone(checkpoint):
    from transformers import AutoModel

    from isomorph.encoders._hf_load import load_parts
    from isomorph.encoders._provider import Options

    folder = str(checkpoint("clip"))
    whole = {n: p.numel() for n, p in AutoModel.from_pretrained(folder).named_parameters()}
    parts = load_parts(folder, None, Options(), side=("vision",))
    names = {n for n, _ in parts.model.named_parameters()}
    assert {n for n in whole if n.startswith(("vision_model.", "visual_projection."))} <= names
    assert not [n for n in names if n.startswith("text_")]


@pytest.mark.parametrize("kept", ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"])
def test_a_matrix_that_sides_share_is_read_under_whichever_name_it_was_saved(changed, checkpoint, kept):
    def rename(state):
        state[kept] = state.pop("shared.weight")

    there = load_encoder(changed("t5", rename), side="encoder").encode(TEXTS)
    whole = load_encoder(str(checkpoint("t5")), side="encoder").encode(TEXTS)
    assert all(np.array_equal(there[layer], whole[layer]) for layer in whole)


def test_a_model_that_draws_weights_for_a_part_left_out_is_read_whole(changed, checkpoint):
    folder = changed("clip", lambda state: state.pop("logit_scale"))  # its parent then draws all that it lacks
    there = load_encoder(folder, side="text").encode(TEXTS)
    whole = load_encoder(str(checkpoint("clip")), side="text").encode(TEXTS)
    assert all(np.array_equal(there[layer], whole[layer]) for layer in whole)


def test_an_unknown_side_is_answered_before_weights_are_read(changed):
    folder = changed("clip", lambda state: state.update({n: torch.zeros(3) for n in state}))
    with pytest.raises(Exception, match="Its sides: 'text', 'vision'"):
        load_encoder(folder, side="smell")
