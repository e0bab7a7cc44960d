"""Whisper weights in two foreign layouts, renamed onto the architecture of transformers."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import InputError
from ._hf_load import import_transformers
from ._torch import import_torch

_CT2_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}

_OPENAI = (
    ("attn.query", "self_attn.q_proj"), ("attn.key", "self_attn.k_proj"), ("attn.value", "self_attn.v_proj"),
    ("attn.out", "self_attn.out_proj"), ("attn_ln", "self_attn_layer_norm"), ("mlp_ln", "final_layer_norm"),
    ("mlp.0", "fc1"), ("mlp.2", "fc2"),
)  # fmt: skip
_CROSS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj"}


def whisper_config(*, width: int, heads: int, depth: int, vocabulary: int) -> Any:
    """Configuration of a Whisper model of 80 mel bands."""
    end = 50257 if vocabulary > 51864 else 50256  # <|endoftext|>; English-only vocabularies have one text token less
    return import_transformers().WhisperConfig(
        d_model=width, encoder_layers=depth, decoder_layers=depth, encoder_attention_heads=heads,
        decoder_attention_heads=heads, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width, vocab_size=vocabulary,
        num_mel_bins=80, max_source_positions=1500, max_target_positions=448,
        decoder_start_token_id=end + 1, bos_token_id=end, eos_token_id=end, pad_token_id=end,
    )  # fmt: skip


def from_openai(state: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's names -> those of transformers' ``WhisperModel``."""
    renamed = {}
    for name, value in state.items():
        new = name.replace("blocks.", "layers.").replace("cross_attn_ln", "encoder_attn_layer_norm")
        new = new.replace("decoder.token_embedding", "decoder.embed_tokens").replace("ln_post", "layer_norm")
        new = new.replace("positional_embedding", "embed_positions.weight")
        if new.startswith("decoder.ln."):
            new = new.replace("decoder.ln.", "decoder.layer_norm.")
        if ".cross_attn." in new:
            head, tail = new.split(".cross_attn.")
            part, kind = tail.rsplit(".", 1)
            new = f"{head}.encoder_attn.{_CROSS[part]}.{kind}"
        else:
            for old, fresh in _OPENAI:
                new = new.replace(f".{old}.", f".{fresh}.")
        renamed[new] = value
    return renamed


def read_ctranslate2(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a CTranslate2 ``model.bin`` (binary version 6) by their names.

    Raises:
        InputError: if the bytes are not of that form, or end early.
    """
    reader = _Reader(data)
    version = reader.number("<I")
    if version != 6:
        raise InputError(f"This CTranslate2 file has binary version {version}; version 6 can be read.")
    reader.text(), reader.number("<I")  # the kind of model and its revision
    arrays = {}
    for _ in range(reader.number("<I")):
        name = reader.text()
        shape = [reader.number("<I") for _ in range(reader.number("<B"))]
        kind = reader.number("<B")
        if kind not in _CT2_TYPES:
            raise InputError(f"The CTranslate2 array {name!r} has the unknown type {kind}.")
        content = reader.take(reader.number("<I"))
        arrays[name] = np.frombuffer(content, dtype=_CT2_TYPES[kind]).reshape(shape)
    return arrays


def from_ctranslate2(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """CTranslate2's arrays of Whisper -> those of transformers' ``WhisperModel``; fused projections are cut apart."""
    torch = import_torch("Reading Whisper weights")
    state: dict[str, Any] = {}

    def put(name: str, value: np.ndarray[Any, Any]) -> None:
        state[name] = torch.from_numpy(value.astype(np.float32))

    def norm(to: str, source: str) -> None:
        put(f"{to}.weight", arrays[f"{source}/gamma"])
        put(f"{to}.bias", arrays[f"{source}/beta"])

    def linear(to: tuple[str, ...], source: str) -> None:
        for kind in ("weight", "bias"):
            pieces = np.split(arrays[f"{source}/{kind}"], len(to))
            for name, piece in zip(to, pieces, strict=True):
                if not (kind == "bias" and name.endswith("k_proj")):  # Whisper's keys have no bias; these are zeros
                    put(f"{name}.{kind}", piece)

    for conv in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            put(f"encoder.{conv}.{kind}", arrays[f"encoder/{conv}/{kind}"])
    put("decoder.embed_tokens.weight", arrays["decoder/embeddings/weight"])
    for side in ("encoder", "decoder"):
        put(f"{side}.embed_positions.weight", arrays[f"{side}/position_encodings/encodings"])
        norm(f"{side}.layer_norm", f"{side}/layer_norm")
        depth = 1 + max(
            int(n.split("/")[1][6:]) for n in arrays if n.startswith(f"{side}/layer_") and "norm" not in n.split("/")[1]
        )
        for i in range(depth):
            to, source = f"{side}.layers.{i}", f"{side}/layer_{i}"
            norm(f"{to}.self_attn_layer_norm", f"{source}/self_attention/layer_norm")
            qkv = tuple(f"{to}.self_attn.{p}_proj" for p in "qkv")
            linear(qkv, f"{source}/self_attention/linear_0")
            linear((f"{to}.self_attn.out_proj",), f"{source}/self_attention/linear_1")
            norm(f"{to}.final_layer_norm", f"{source}/ffn/layer_norm")
            linear((f"{to}.fc1",), f"{source}/ffn/linear_0")
            linear((f"{to}.fc2",), f"{source}/ffn/linear_1")
            if side == "decoder":
                norm(f"{to}.encoder_attn_layer_norm", f"{source}/attention/layer_norm")
                linear((f"{to}.encoder_attn.q_proj",), f"{source}/attention/linear_0")
                linear((f"{to}.encoder_attn.k_proj", f"{to}.encoder_attn.v_proj"), f"{source}/attention/linear_1")
                linear((f"{to}.encoder_attn.out_proj",), f"{source}/attention/linear_2")
    return state


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise InputError("The CTranslate2 file ends early; fetch it again.")
        self._at += count
        return piece

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def text(self) -> str:
        return self.take(self.number("<H"))[:-1].decode()
