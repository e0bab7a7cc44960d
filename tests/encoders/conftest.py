"""Tiny checkpoints, built from configurations and saved as users' own would be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from isomorph.datasets import Audio

WORDS = [
    "<pad>",
    "<s>",
    "</s>",
    "<unk>",
    "a",
    "cat",
    "sat",
    "on",
    "the",
    "red",
    "mat",
    "dog",
    "runs",
    "home",
    "now",
    "small",
]
TEXTS = [
    "a cat",
    "the red dog runs home now",
    "cat",
    "a small red cat sat on the mat now",
    "the mat",
    "dog runs",
    "now",
    "a dog sat",
]


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_certificates(tmp_path_factory, monkeypatch):
    """No check is spared because an earlier version of the code certified the same checkpoint on this machine."""
    monkeypatch.setattr("isomorph.encoders.cache_dir", tmp_path_factory.getbasetemp)


@pytest.fixture(scope="session")
def texts():
    return TEXTS


@pytest.fixture(scope="session")
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40 + 3 * i, 52 - 2 * i, 3), dtype=np.uint8) for i in range(8)]


@pytest.fixture(scope="session")
def recordings():
    rng = np.random.default_rng(0)
    lengths = [1600, 2400, 1600, 3333, 900, 4000, 1700, 1600]
    return [Audio(rng.normal(0, 0.1, n).astype(np.float32), 16000) for n in lengths]


def tokenizer(**special):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | special
    return PreTrainedTokenizerFast(tokenizer_object=core, **tokens)


def _write(folder, name, content):
    (Path(folder) / name).write_text(json.dumps(content))


def _image_processor(folder, kind="ViTImageProcessor", **extra):
    facts = {
        "image_processor_type": kind,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.3, 0.4],
        "size": {"height": 32, "width": 32},
    }
    _write(folder, "preprocessor_config.json", facts | extra)


_DIMS = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}


def _vit(folder):
    from transformers import ViTConfig, ViTModel

    _image_processor(folder)
    return ViTModel(ViTConfig(**_DIMS, image_size=32, patch_size=8))


def _dinov2(folder):
    from transformers import Dinov2Config, Dinov2Model

    crop = {"do_center_crop": True, "crop_size": {"height": 28, "width": 28}, "size": {"shortest_edge": 32}}
    _image_processor(folder, "BitImageProcessor", do_convert_rgb=True, **crop)
    return Dinov2Model(
        Dinov2Config(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, image_size=28, patch_size=7)
    )


def _resnet(folder):
    from transformers import ResNetConfig, ResNetModel

    _image_processor(folder)
    return ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"))


def _bert(folder):
    from transformers import BertConfig, BertModel

    tokenizer(model_max_length=12).save_pretrained(folder)
    return BertModel(BertConfig(**_DIMS, vocab_size=len(WORDS), max_position_embeddings=20, pad_token_id=0))


def _gpt2(folder):
    from transformers import GPT2Config, GPT2Model

    tokenizer(pad_token=None).save_pretrained(folder)
    return GPT2Model(GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=len(WORDS), n_positions=20))


def _roberta(folder):
    from transformers import RobertaConfig, RobertaModel

    tokenizer(model_max_length=12).save_pretrained(folder)
    return RobertaModel(RobertaConfig(**_DIMS, vocab_size=len(WORDS), max_position_embeddings=20, pad_token_id=0))


def _albert(folder):
    from transformers import AlbertConfig, AlbertModel

    tokenizer().save_pretrained(folder)
    return AlbertModel(AlbertConfig(**_DIMS, embedding_size=8, vocab_size=len(WORDS), max_position_embeddings=20))


def _llama(folder):
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer(pad_token=None).save_pretrained(folder)
    return LlamaForCausalLM(LlamaConfig(**_DIMS, vocab_size=len(WORDS), max_position_embeddings=32))


def _t5(folder):
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer().save_pretrained(folder)
    return T5ForConditionalGeneration(
        T5Config(
            d_model=16,
            d_kv=8,
            d_ff=24,
            num_layers=2,
            num_decoder_layers=3,
            num_heads=2,
            vocab_size=len(WORDS),
            decoder_start_token_id=0,
        )
    )


def _whisper(folder):
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    WhisperFeatureExtractor(feature_size=8, chunk_length=1).save_pretrained(folder)
    return WhisperForConditionalGeneration(
        WhisperConfig(
            d_model=16,
            encoder_layers=2,
            decoder_layers=3,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            num_mel_bins=8,
            max_source_positions=50,
            vocab_size=40,
            pad_token_id=1,
            bos_token_id=2,
            eos_token_id=3,
            decoder_start_token_id=4,
        )
    )


def _wav2vec2(folder, **extra):
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False).save_pretrained(folder)
    conv = {"conv_dim": (8, 8), "conv_kernel": (10, 4), "conv_stride": (5, 4), "num_conv_pos_embeddings": 8}
    return Wav2Vec2Model(Wav2Vec2Config(**_DIMS, **conv, num_conv_pos_embedding_groups=2, vocab_size=8, **extra))


def _wav2vec2_stable(folder):
    return _wav2vec2(folder, do_stable_layer_norm=True, feat_extract_norm="layer")


def _clip(folder):
    from transformers import CLIPConfig, CLIPModel

    tokenizer(pad_token="</s>").save_pretrained(folder)
    crop = {"do_center_crop": True, "crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 32}}
    _image_processor(folder, "CLIPImageProcessor", do_convert_rgb=True, **crop)
    text = _DIMS | {"vocab_size": len(WORDS), "max_position_embeddings": 16, "eos_token_id": 2, "bos_token_id": 1}
    vision = _DIMS | {"num_hidden_layers": 2, "image_size": 32, "patch_size": 8}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=10))


_BUILDERS = {
    "vit": _vit,
    "dinov2": _dinov2,
    "resnet": _resnet,
    "bert": _bert,
    "roberta": _roberta,
    "gpt2": _gpt2,
    "albert": _albert,
    "llama": _llama,
    "t5": _t5,
    "whisper": _whisper,
    "wav2vec2": _wav2vec2,
    "wav2vec2-stable": _wav2vec2_stable,
    "clip": _clip,
}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A function from a kind of model to the folder of a tiny checkpoint of it."""
    import torch

    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            path = tmp_path_factory.mktemp(kind)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(7)
                model = _BUILDERS[kind](path).eval()
                with torch.no_grad():  # initial biases and norms are trivial and would hide errors
                    for parameter in model.parameters():
                        parameter.add_(0.2 * torch.randn_like(parameter))
                model.save_pretrained(path)
            made[kind] = path  # only when it is whole
        return made[kind]

    return folder
