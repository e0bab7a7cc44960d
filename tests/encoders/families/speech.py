"""Families that hear: speech and sound."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from isomorph.datasets import Audio

from . import WORDS, Family, Rows, Side, model_of, register, rows, watch
from .language import t5_reads

V = len(WORDS)
IDS = {"vocab_size": V, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
DIMS = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}

# ------------------------------------------------------------------------------------------------- run by hand


def heard(folder: str, item: Audio) -> dict[str, Any]:
    """What the checkpoint's own feature extractor makes of one recording."""
    from transformers import AutoFeatureExtractor

    extractor = AutoFeatureExtractor.from_pretrained(folder)
    return dict(extractor(item.samples, sampling_rate=item.rate, return_tensors="pt"))


def taken(function: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Those of the inputs that a function takes."""
    names = inspect.signature(function).parameters
    return {k: v for k, v in inputs.items() if k in names}


def run_alone(model: Any, inputs: dict[str, Any]) -> Any:
    """The model on one recording."""
    return model(**taken(model.forward, inputs))


def run_unmasked(model: Any, inputs: dict[str, Any]) -> Any:
    """The model on one recording, which nothing pads, without the mask that says so."""
    return model(input_values=inputs["input_values"])


def run_encoder(model: Any, inputs: dict[str, Any]) -> Any:
    """The encoder of an encoder-decoder on one recording."""
    encoder = model.get_encoder()
    return encoder(**taken(encoder.forward, inputs))


def run_start(model: Any, inputs: dict[str, Any]) -> Any:
    """An encoder-decoder whose decoder has read only the token that starts decoding."""
    import torch

    start = torch.tensor([[model.config.decoder_start_token_id]])
    return model(**taken(model.forward, inputs), decoder_input_ids=start)


def all_frames(_model: Any, _inputs: dict[str, Any], _item: Audio) -> None:
    """Every frame holds sound."""


def masked_frames(_model: Any, inputs: dict[str, Any], _item: Audio) -> np.ndarray:
    """Those frames that the extractor's mask names."""
    return inputs["attention_mask"][0].bool().numpy()


def whisper_frames(model: Any, _inputs: dict[str, Any], item: Audio) -> np.ndarray:
    """Frames of the fixed window that hold the recording: two hops of 160 samples are one frame."""
    held = np.zeros(model.config.max_source_positions, dtype=bool)
    held[: math.ceil(len(item.samples) / 320)] = True
    return held


def stack(
    path: str,
    norm: str | None = None,
    *,
    kind: str = "AutoModel",
    run: Callable[[Any, dict[str, Any]], Any] = run_alone,
    real: Callable[[Any, dict[str, Any], Audio], np.ndarray | None] = all_frames,
    channels_first: bool = False,
    embedding: bool = True,
    projection: str | None = None,
) -> Callable[[str, Any], Rows]:
    """A reference for models whose blocks and final norm lie at a path.

    Args:
        path: To the blocks.
        norm: To the norm that follows the last block.
        kind: Class of transformers that is loaded.
        run: Calls the model on what the extractor gives.
        real: Which frames, or samples, hold the recording; None if all do.
        channels_first: Whether activations are (b, c, t).
        embedding: Whether what enters the first block is more than the input itself.
        projection: Method that gives the point in a shared space.
    """

    def by_hand(folder: str, item: Any) -> Rows:
        import torch

        model, inputs = model_of(folder, kind), heard(folder, item)
        blocks = list(operator.attrgetter(path)(model))
        seen = watch(lambda: run(model, inputs), blocks, operator.attrgetter(norm)(model) if norm else None)
        held = real(model, inputs, item)
        found: Rows = {}
        for layer, x in seen.items():
            if x.ndim != 3 or len(x) != 1:
                raise AssertionError(f"{layer}: activations of shape {tuple(x.shape)} are not one recording's")
            one = rows(x[0].T if channels_first else x[0])
            found[layer] = one if held is None else one[held[:: len(held) // len(one)]]  # the first of every stride
        if not embedding:
            del found["embedding"]
        if projection is not None:
            function = getattr(model, projection)
            with torch.no_grad():
                found["projection"] = rows(function(**taken(function, inputs)).pooler_output)
        return found

    return by_hand


def sound(
    name: str,
    architecture: str,
    model: tuple[str, str],
    sizes: dict[str, Any],
    extractor: tuple[str, dict[str, Any]],
    by_hand: Callable[[str, Any], Rows] | dict[str, Callable[[str, Any], Rows]],
    *,
    prefix: int = 0,
    items: Callable[[], list[Any]] | None = None,
    texts: dict[str, Callable[[str, Any], Rows]] | None = None,
    reads: Callable[[Path], None] | None = None,
    **facts: Any,
) -> None:
    """Register a family.

    Args:
        name: Of the family.
        architecture: For people.
        model: Classes of transformers: model and configuration.
        sizes: Of the configuration.
        extractor: Class of the feature extractor, and its settings.
        by_hand: The reference, or one for every side that hears.
        prefix: Class and distillation tokens in front.
        items: Recordings of its own.
        texts: References of the sides that read.
        reads: Saves the tokenizer.
        facts: Other facts of the family.
    """

    def build(folder: Path) -> Any:
        import transformers

        getattr(transformers, extractor[0])(**extractor[1]).save_pretrained(folder)
        if reads is not None:
            reads(folder)
        return getattr(transformers, model[0])(getattr(transformers, model[1])(**sizes))

    hears = list(by_hand.items()) if isinstance(by_hand, dict) else [("", by_hand)]
    sides = [Side(side, "audio", reference, prefix, items=items) for side, reference in hears]
    sides += [Side(side, "text", reference, None) for side, reference in (texts or {}).items()]
    register(Family(name, "audio", build, tuple(sides), architecture, **facts))


def text_stack(
    path: str, norm: str | None = None, *, part: str, projection: str | None = None
) -> Callable[[str, Any], Rows]:
    """A reference for the text side: the part that reads, its blocks, and the norm after them."""

    def by_hand(folder: str, item: Any) -> Rows:
        import torch
        from transformers import AutoTokenizer

        model = model_of(folder)
        reader = operator.attrgetter(part)(model)
        encoded = AutoTokenizer.from_pretrained(folder)(item, return_tensors="pt")
        inputs = taken(reader.forward, dict(encoded))
        blocks = list(operator.attrgetter(path)(reader))
        seen = watch(lambda: reader(**inputs), blocks, operator.attrgetter(norm)(reader) if norm else None)
        found = {layer: rows(x[0]) for layer, x in seen.items()}
        if any(x.ndim != 2 or len(x) != inputs["input_ids"].shape[1] for x in found.values()):
            raise AssertionError("rows are not those of the tokens")
        if projection is not None:
            with torch.no_grad():
                found["projection"] = rows(getattr(model, projection)(**inputs).pooler_output)
        return found

    return by_hand


# ------------------------------------------------------------------------------------------------- raw waveforms

WAVE = DIMS | IDS | {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
PLAIN_WAVE = ("Wav2Vec2FeatureExtractor", {"do_normalize": True, "return_attention_mask": False})
MASK_WAVE = ("Wav2Vec2FeatureExtractor", {"do_normalize": True, "return_attention_mask": True})
POST_NORM, PRE_NORM = stack("encoder.layers"), stack("encoder.layers", "encoder.layer_norm")

sound(
    "wav2vec2",
    "wav2vec 2.0 (base)",
    ("Wav2Vec2ForPreTraining", "Wav2Vec2Config"),
    WAVE | {"codevector_dim": 8, "proj_codevector_dim": 8, "num_codevectors_per_group": 8},
    PLAIN_WAVE,
    POST_NORM,
    fast=True,
)
sound(
    "wav2vec2-large",
    "wav2vec 2.0 (large, XLSR: stable layer norm)",
    ("Wav2Vec2ForCTC", "Wav2Vec2Config"),
    WAVE | STABLE,
    MASK_WAVE,
    PRE_NORM,
)
sound(
    "mms",
    "MMS (wav2vec 2.0 with adapters in every block)",
    ("Wav2Vec2ForCTC", "Wav2Vec2Config"),
    WAVE | STABLE | {"adapter_attn_dim": 4},
    MASK_WAVE,
    PRE_NORM,
)
sound("hubert", "HuBERT (base)", ("HubertModel", "HubertConfig"), WAVE, PLAIN_WAVE, POST_NORM)
sound("hubert-large", "HuBERT (large)", ("HubertForCTC", "HubertConfig"), WAVE | STABLE, MASK_WAVE, PRE_NORM)
WAVLM = {"num_buckets": 8, "max_bucket_distance": 16}
sound("wavlm", "WavLM (base)", ("WavLMModel", "WavLMConfig"), WAVE | WAVLM, PLAIN_WAVE, POST_NORM)
sound(
    "wavlm-large",
    "WavLM (large)",
    ("WavLMModel", "WavLMConfig"),
    WAVE | WAVLM | STABLE,
    MASK_WAVE,
    stack("encoder.layers", "encoder.layer_norm", run=run_unmasked),
)
sound(
    "data2vec-audio",
    "data2vec (audio)",
    ("Data2VecAudioForCTC", "Data2VecAudioConfig"),
    WAVE | {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5},
    MASK_WAVE,
    POST_NORM,
)
sound("unispeech-sat", "UniSpeech-SAT", ("UniSpeechSatModel", "UniSpeechSatConfig"), WAVE, PLAIN_WAVE, POST_NORM)
SEW = {"squeeze_factor": 2, "conv_dim": (8,) * 7, "conv_stride": (5, 2, 2, 2, 2, 2, 2)}
SEW |= {"conv_kernel": (10, 3, 3, 3, 3, 2, 2)}
sound(
    "sew",
    "SEW (blocks run at half the frame rate)",
    ("SEWModel", "SEWConfig"),
    WAVE | SEW,
    PLAIN_WAVE,
    POST_NORM,
)
sound(
    "wav2vec2-conformer",
    "wav2vec 2.0 with Conformer blocks",
    ("Wav2Vec2ConformerModel", "Wav2Vec2ConformerConfig"),
    WAVE | STABLE | {"max_source_positions": 64, "conv_depthwise_kernel_size": 3},
    MASK_WAVE,
    PRE_NORM,
)
MOONSHINE = IDS | {
    "hidden_size": 16,
    "intermediate_size": 24,
    "encoder_num_hidden_layers": 3,
    "decoder_num_hidden_layers": 2,
    "encoder_num_attention_heads": 2,
    "decoder_num_attention_heads": 2,
    "decoder_start_token_id": 1,
}
sound(
    "moonshine",
    "Moonshine",
    ("MoonshineForConditionalGeneration", "MoonshineConfig"),
    MOONSHINE,
    ("Wav2Vec2FeatureExtractor", {"do_normalize": False, "return_attention_mask": True}),
    {"encoder": stack("encoder.layers", "encoder.layer_norm", run=run_encoder)},
)
SPEECHT5 = IDS | {
    "hidden_size": 16,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "encoder_max_relative_position": 8,
}
sound(
    "speecht5",
    "SpeechT5 (recognition)",
    ("SpeechT5ForSpeechToText", "SpeechT5Config"),
    SPEECHT5,
    ("SpeechT5FeatureExtractor", {"num_mel_bins": 16}),
    {"encoder": stack("speecht5.encoder.wrapped_encoder.layers", kind="SpeechT5ForSpeechToText", run=run_encoder)},
)

# ------------------------------------------------------------------------------------------------- spectrograms

WHISPER = IDS | {
    "d_model": 16,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "num_mel_bins": 16,
    "max_source_positions": 50,
    "max_target_positions": 16,
    "init_std": 0.1,
    "decoder_start_token_id": 1,
}
sound(
    "whisper",
    "Whisper",
    ("WhisperForConditionalGeneration", "WhisperConfig"),
    WHISPER,
    ("WhisperFeatureExtractor", {"feature_size": 16, "chunk_length": 1}),
    {
        "encoder": stack("encoder.layers", "encoder.layer_norm", run=run_encoder, real=whisper_frames),
        "decoder": stack("decoder.layers", "decoder.layer_norm", run=run_start),
    },
    fast=True,
)
W2V_BERT = {"feature_projection_input_dim": 160, "conv_depthwise_kernel_size": 3, "vocab_size": V}
sound(
    "w2v-bert",
    "w2v-BERT 2.0",
    ("Wav2Vec2BertModel", "Wav2Vec2BertConfig"),
    DIMS | W2V_BERT | {"left_max_position_embeddings": 8, "right_max_position_embeddings": 4},
    ("SeamlessM4TFeatureExtractor", {}),
    stack("encoder.layers", real=masked_frames),
    fast=True,
)
SEAMLESS = IDS | {
    "t2u_vocab_size": V,
    "hidden_size": 16,
    "decoder_start_token_id": 2,
    "max_position_embeddings": 64,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "speech_encoder_layers": 3,
    "speech_encoder_attention_heads": 2,
    "speech_encoder_intermediate_size": 24,
    "feature_projection_input_dim": 160,
    "conv_depthwise_kernel_size": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "adaptor_kernel_size": 4,
    "adaptor_stride": 4,
    "t2u_encoder_layers": 1,
    "t2u_decoder_layers": 1,
    "t2u_encoder_attention_heads": 2,
    "t2u_decoder_attention_heads": 2,
    "t2u_encoder_ffn_dim": 24,
    "t2u_decoder_ffn_dim": 24,
    "upsample_initial_channel": 16,
    "upsample_rates": [2],
    "upsample_kernel_sizes": [4],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1]],
    "unit_hifi_gan_vocab_size": V,
    "unit_embed_dim": 8,
    "lang_embed_dim": 8,
    "spkr_embed_dim": 8,
    "vocoder_num_langs": 2,
    "vocoder_num_spkrs": 2,
    "variance_predictor_kernel_size": 3,
}


def run_speech(model: Any, inputs: dict[str, Any]) -> Any:
    """The speech encoder of SeamlessM4T."""
    return model.speech_encoder(**inputs)


SEAMLESS_SPEECH = stack(
    "speech_encoder.encoder.layers", "speech_encoder.encoder.layer_norm", run=run_speech, real=masked_frames
)
sound(
    "seamless-m4t",
    "SeamlessM4T v1",
    ("SeamlessM4TModel", "SeamlessM4TConfig"),
    SEAMLESS | {"max_source_positions": 64},
    ("SeamlessM4TFeatureExtractor", {}),
    {"speech": SEAMLESS_SPEECH},
    texts={"text": text_stack("layers", "layer_norm", part="text_encoder")},
    reads=t5_reads,
)
SEAMLESS_V2 = {
    "char_vocab_size": V,
    "left_max_position_embeddings": 8,
    "right_max_position_embeddings": 4,
    "speech_encoder_chunk_size": 20000,
    "speech_encoder_left_chunk_num": 128,
    "t2u_variance_predictor_embed_dim": 8,
    "t2u_variance_predictor_hidden_dim": 8,
    "t2u_variance_predictor_kernel_size": 3,
}
sound(
    "seamless-m4t-v2",
    "SeamlessM4T v2",
    ("SeamlessM4Tv2Model", "SeamlessM4Tv2Config"),
    SEAMLESS | SEAMLESS_V2,
    ("SeamlessM4TFeatureExtractor", {}),
    {"speech": SEAMLESS_SPEECH},
    texts={"text": text_stack("layers", "layer_norm", part="text_encoder")},
    reads=t5_reads,
)
