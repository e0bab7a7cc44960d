"""Families that hear sounds of any kind, and codecs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from isomorph.datasets import Audio

from .language import mask_reads
from .speech import DIMS, IDS, sound, stack, text_stack


def _window_filled() -> list[Any]:
    """Recordings that reach into the last patch of a window of 32 frames: none of its patches is padding alone."""
    rng = np.random.default_rng(1)
    lengths = [4900, 5000, 5120, 5060, 4960, 4900]
    return [Audio(rng.normal(0, 0.1, n).astype(np.float32), 16000) for n in lengths]


sound(
    "ast",
    "Audio Spectrogram Transformer",
    ("ASTForAudioClassification", "ASTConfig"),
    DIMS | {"patch_size": 4, "frequency_stride": 4, "time_stride": 4, "max_length": 32, "num_mel_bins": 16},
    ("ASTFeatureExtractor", {"num_mel_bins": 16, "max_length": 32}),
    stack("layers", "layernorm"),
    prefix=2,
    items=_window_filled,
)


def _tones() -> list[Any]:
    """Recordings that differ in loudness and pitch: white noise is much alike once its places are averaged."""
    rng = np.random.default_rng(2)
    made = []
    for i, n in enumerate([1600, 2400, 6400, 3333, 1600, 4801]):
        tone = np.abs(np.sin(np.arange(n) * 0.02 * (i + 1))) * 0.2 * (i + 1)
        made.append(Audio((tone + rng.normal(0, 0.05, n)).astype(np.float32), 16000))
    return made


def _clap_statistics(_folder: Path, model: Any) -> None:
    """Statistics of decibels, as training leaves them."""
    norm = model.audio_model.audio_encoder.batch_norm
    norm.running_mean.fill_(-30.0)
    norm.running_var.fill_(100.0)


CLAP_AUDIO = {
    "spec_size": 64,
    "num_mel_bins": 16,
    "patch_size": 4,
    "patch_stride": [4, 4],
    "window_size": 4,
    "depths": [2, 2],
    "num_attention_heads": [2, 2],
    "patch_embeds_hidden_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "projection_dim": 12,
}
CLAP_TEXT = DIMS | IDS | {"max_position_embeddings": 40, "projection_dim": 12}
sound(
    "clap",
    "CLAP (HTSAT, unfused)",
    ("ClapModel", "ClapConfig"),
    {"text_config": CLAP_TEXT, "audio_config": CLAP_AUDIO, "projection_dim": 12},
    (
        "ClapFeatureExtractor",
        {
            "feature_size": 16,
            "sampling_rate": 16000,
            "hop_length": 160,
            "max_length_s": 1,
            "fft_window_size": 400,
            "frequency_min": 50,
            "frequency_max": 8000,
            "truncation": "rand_trunc",
        },
    ),
    {
        "audio": stack(
            "audio_model.audio_encoder.layers",
            "audio_model.audio_encoder.norm",
            run=lambda model, inputs: model.get_audio_features(**inputs),
            projection="get_audio_features",
        )
    },
    texts={"text": text_stack("encoder.layer", part="text_model", projection="get_text_features")},
    reads=mask_reads,
    settle=_clap_statistics,
)

# ------------------------------------------------------------------------------------------------- codecs

ENCODEC = {
    "num_filters": 4,
    "hidden_size": 8,
    "codebook_size": 16,
    "codebook_dim": 8,
    "sampling_rate": 16000,
    "upsampling_ratios": [8, 5, 4, 2],
    "target_bandwidths": [1.5, 3.0],
    "num_lstm_layers": 1,
}
sound(
    "encodec",
    "EnCodec (encoder)",
    ("EncodecModel", "EncodecConfig"),
    ENCODEC,
    ("EncodecFeatureExtractor", {"sampling_rate": 16000}),
    {
        "encoder": stack(
            "encoder.layers",
            run=lambda model, inputs: model.encode(**inputs),
            channels_first=True,
            embedding=False,
        )
    },
    items=_tones,
)


def _dac_samples(_model: Any, inputs: dict[str, Any], _item: Audio) -> np.ndarray:
    """Samples that are no padding: the extractor pads a recording to whole hops."""
    return inputs["padding_mask"][0].bool().numpy()


sound(
    "dac",
    "DAC (encoder; the extractor pads a recording to whole hops)",
    ("DacModel", "DacConfig"),
    {
        "encoder_hidden_size": 4,
        "downsampling_ratios": [2, 4],
        "decoder_hidden_size": 16,
        "n_codebooks": 2,
        "codebook_size": 16,
        "codebook_dim": 4,
        "sampling_rate": 16000,
    },
    ("DacFeatureExtractor", {"sampling_rate": 16000, "hop_length": 8}),
    {
        "encoder": stack(
            "encoder.block",
            run=lambda model, inputs: model.encode(inputs["input_values"]),
            channels_first=True,
            real=_dac_samples,
        )
    },
    items=_tones,
)
