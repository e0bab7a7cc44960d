"""Claim: reading every layer costs at most 10 % more than the plain forward pass on the same batches.

Plain and tapped passes run in turn in one process, and medians are compared; untrained networks of real size take the
same time as trained ones. Run: ``python benchmarks/extraction.py``.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LIMIT, ROUNDS = 1.10, 9


def encoders(folder: Path, *, layers: int = 6, width: int = 384):
    """A text and a vision encoder, by default of 6 layers × 384, with batches of unequal texts and of images."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, PreTrainedTokenizerFast, ViTConfig, ViTImageProcessorPil

    from isomorph.encoders import load_encoder

    rng = np.random.default_rng(0)
    size = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 12,
        "intermediate_size": 4 * width,
    }
    core = Tokenizer(models.WordLevel({"<pad>": 0} | {f"w{i}": i for i in range(1, 1000)}, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>").save_pretrained(folder / "text")
    BertConfig(**size, vocab_size=1000).save_pretrained(folder / "text")
    ViTConfig(**size, image_size=224, patch_size=16).save_pretrained(folder / "vision")
    ViTImageProcessorPil(size={"height": 224, "width": 224}).save_pretrained(folder / "vision")
    texts = [" ".join(f"w{i}" for i in rng.integers(1, 1000, n)) for n in rng.integers(40, 65, 16)]
    images = [rng.integers(0, 256, (224, 224, 3), dtype=np.uint8) for _ in range(6)]
    yield "text", load_encoder(str(folder / "text"), init="random"), texts
    yield "vision", load_encoder(str(folder / "vision"), init="random"), images


def ratio(encoder, batch) -> tuple[float, float]:
    """Seconds of the plain pass, and by how much the tapped one exceeds it: medians over `ROUNDS` turns."""
    import torch

    part = encoder.prepare(batch)[0]
    times: dict[str, list[float]] = {"plain": [], "tapped": []}
    for turn in range(ROUNDS + 1):
        for kind in ("plain", "tapped"):
            start = time.perf_counter()
            if kind == "plain":
                with torch.inference_mode():
                    encoder.network(**part.inputs)
            else:
                encoder.forward(part)
            if turn:  # the first turn warms up
                times[kind].append(time.perf_counter() - start)
    plain, tapped = (statistics.median(times[k]) for k in ("plain", "tapped"))
    return plain, tapped / plain


def main() -> int:
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for kind, encoder, batch in encoders(Path(folder)):
            plain, times = ratio(encoder, batch)
            worst = max(worst, times)
            print(f"{kind}: plain {plain * 1000:.0f} ms, all {len(encoder.layers)} layers pooled × {times:.3f}")
    print(f"worst × {worst:.3f}, limit × {LIMIT:.2f}: {'holds' if worst <= LIMIT else 'FAILS'}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
