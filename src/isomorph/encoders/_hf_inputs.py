"""From items to what transformers networks eat, with masks of what holds input."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import InputError
from ._hf_pixels import OwnPixels
from ._inputs import as_pil, as_text, each_picture
from ._probes import probes_of
from ._torch import Prepared, json_digest

_NO_LIMIT = 1_000_000  # tokenisers without a limit carry a number far beyond this
_LONG = 1024  # texts near a limit beyond this would take the check too long


class HfInput(ABC):
    """Prepares the batches of one modality."""

    modality: str

    @abstractmethod
    def prepare(self, batch: Sequence[Any], device: str) -> list[Prepared]:
        """Split a batch into parts that can share a forward pass.

        Raises:
            InputError: if an item cannot be encoded; its position is named.
        """

    @abstractmethod
    def example(self) -> Any:
        """A small item, with which the network is watched once."""

    def probes(self) -> list[Any]:
        """Items for the self-check; the first two are of unlike size where sizes may differ, two are of like size."""
        return probes_of(self.modality)

    def long_probes(self) -> list[Any]:
        """Items near the stated limit."""
        return []

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """JSON-able facts that change the features."""


class TextInput(HfInput):
    """Tokens, padded to the longest text of the batch.

    Args:
        tokenizer: A tokeniser of transformers.
        accepts: Names of the arguments that the network takes.
        limit: The most tokens that the network can read, if there is a limit.
        truncate: Whether longer texts are cut; otherwise they are errors.
        padding_side: Padding never changes the features, so this is a matter of taste.
        own_positions: Whether the network itself derives positions that skip padding.
        as_trained: Whether every text is padded to the limit and padding is attended, as in training; it is not pooled.
        prompt: What is put in front of every text.
        start: For the decoder side of an encoder-decoder: the token that starts decoding. The decoder reads the text
            itself, shifted by one (teacher forcing), as in training to reconstruct.
    """

    modality = "text"

    def __init__(
        self,
        tokenizer: Any,
        *,
        accepts: Iterable[str],
        limit: int | None,
        truncate: bool,
        padding_side: str,
        own_positions: bool,
        start: int | None,
        as_trained: bool = False,
        prompt: str = "",
        multiple: int | None = None,
    ) -> None:
        if (
            tokenizer.pad_token is None
        ):  # causal language models often have none; padding is masked, so any token will do
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
        tokenizer.padding_side = padding_side
        self._tokenizer, self._accepts, self._limit = tokenizer, frozenset(accepts), limit
        self._truncate, self._own_positions, self._start = truncate, own_positions, start
        self._as_trained, self._prompt, self._side = as_trained, prompt, padding_side
        self._multiple = {"pad_to_multiple_of": multiple} if multiple else {}
        self._known: list[str] | None = None

    def prepare(self, batch: Sequence[Any], device: str) -> list[Prepared]:
        texts = [self._prompt + as_text(item, i) for i, item in enumerate(batch)]
        limit = {"truncation": True, "max_length": self._limit} if self._truncate and self._limit else {}
        self._tokenizer.padding_side = self._side  # whoever shares the tokenizer may have turned it
        encoded = self._tokenizer(
            texts, padding=True, return_tensors="pt", return_attention_mask=True, **limit, **self._multiple
        )
        mask = encoded["attention_mask"].bool()
        for i, length in enumerate(mask.sum(1).tolist()):
            if not length:
                raise InputError(f"Item {i} of the batch, {texts[i]!r}, becomes no tokens at all; leave it out.")
            if self._limit and length > self._limit:
                raise InputError(
                    f"Item {i} of the batch has {length} tokens but the model reads at most {self._limit}. "
                    "Shorten it, or pass truncate=True to cut long texts."
                )
        if self._as_trained:
            encoded = self._tokenizer(
                texts, padding="max_length", max_length=self._limit, return_tensors="pt", return_attention_mask=True
            )
            mask = encoded.pop("attention_mask").bool()
        inputs = {k: v.to(device) for k, v in encoded.items() if k in self._accepts}
        mask = mask.to(device)
        left_padded = not bool(mask[:, 0].all())
        if left_padded and "position_ids" in self._accepts and not self._own_positions:
            inputs["position_ids"] = (mask.long().cumsum(1) - 1).clamp(min=0)
        if self._start is not None:
            shifted = inputs["input_ids"].roll(1, 1)
            shifted[:, 0] = self._start
            inputs |= {
                "decoder_input_ids": shifted,
                "decoder_attention_mask": mask.long(),
            }  # padding is on the right here
        return [Prepared(inputs, range(len(texts)), mask)]

    def example(self) -> Any:
        return " ".join(self._words()[:3])

    def probes(self) -> list[Any]:
        w = self._words()
        some = [w[i % len(w)] for i in range(9)]  # the last two texts are of one length, and no turned copies
        # unlike at both ends, so that the first and the last token tell them apart where a network looks one way only
        words = [some[:4], some[4:5], [*some[5:], *some[:3]], some[6:8], [some[8], some[8]]]
        ends: set[str] = set()
        texts = []
        for text in words:
            if len(self._tokenizer(self._prompt + " ".join(text))["input_ids"]) <= (self._limit or _NO_LIMIT) and not (
                ends & {f"^{text[0]}", f"{text[-1]}$"}
            ):
                ends |= {f"^{text[0]}", f"{text[-1]}$"}
                texts.append(" ".join(text))
        return texts if len(texts) > 1 else w[:2]

    def long_probes(self) -> list[Any]:
        if self._limit is None or self._limit > _LONG or self._truncate or self._as_trained:
            return []
        words = self._words()
        special = len(self._tokenizer(self._prompt + words[0])["input_ids"])
        text = [words[i % len(words)] for i in range(max(1, self._limit - special))]
        while len(text) > 1 and len(self._tokenizer(self._prompt + " ".join(text))["input_ids"]) > self._limit:
            text = text[: max(1, len(text) * 9 // 10)]
        fits = len(self._tokenizer(self._prompt + " ".join(text))["input_ids"]) <= self._limit
        return [" ".join(text)] if fits else []

    def _words(self) -> list[str]:
        """Words that the tokenizer knows, in the order of its vocabulary.

        Raises:
            InputError: if it knows none: its files are missing, and every text would become the same tokens.
        """
        if self._known is None:
            self._known = known_words(self._tokenizer)
        if len(self._known) < 2:
            raise InputError(
                f"The tokenizer ({type(self._tokenizer).__name__}) knows {len(self._known)} words of its "
                f"{len(self._tokenizer)} tokens, so all texts would become the same tokens. Its vocabulary files "
                "(tokenizer.json, vocab.txt, merges.txt, *.model) are missing beside the weights; add them."
            )
        return self._known

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "kind": "text",
            "version": 1,
            "tokenizer": self._digest,
            "max_length": self._limit,
            "truncate": self._truncate,
            "decoder_start": self._start,
            **({"padding": "as trained"} if self._as_trained else {}),
            **({"prompt": self._prompt} if self._prompt else {}),
            **({"padding_side": "left"} if self._side == "left" else {}),
        }

    @cached_property
    def _digest(self) -> str:  # of all words of the vocabulary, which takes long and is asked for often
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        content = backend.to_str() if backend is not None else sorted(self._tokenizer.get_vocab().items())
        return json_digest({"class": type(self._tokenizer).__name__, "content": without_padding(content)})


class ImageInput(HfInput):
    """Pixels by the checkpoint's own image processor in its PIL form, which needs no torchvision.

    Every image is processed by itself; those whose tensors are of one shape share a pass, so that none is padded to the
    size of another. Masks that the processor makes reach network and pooling.

    Args:
        processor: An image processor of transformers, or `OwnPixels`.
        accepts: Names of the arguments that the network takes.
        patch: Edge of the patches, for networks that shuffle them unless told the order (MAE), or that mask pixels.
        whole: Whether a patch counts only if all of its pixels are the image's, not padding.
    """

    modality = "image"

    def __init__(self, processor: Any, *, accepts: Iterable[str], patch: int | None, whole: bool = False) -> None:
        self._processor, self._accepts, self._patch, self._whole = processor, frozenset(accepts), patch, whole

    def prepare(self, batch: Sequence[Any], device: str) -> list[Prepared]:
        if isinstance(self._processor, OwnPixels):  # torch computes it, on threads of its own
            each = [self._one(as_pil(item, i), i) for i, item in enumerate(batch)]
        else:
            each = each_picture(self._one, batch)
        return share_passes(each, device, self._mask)

    def _mask(self, inputs: dict[str, Any]) -> Any:
        """Which patches hold the image, from the processor's mask of patches (b, n) or of pixels (b, tiles, h, w)."""
        mask = inputs.get("pixel_attention_mask")
        if mask is None or mask.ndim == 2:
            return mask
        if mask.ndim != 4 or not self._patch:
            return None
        patches = mask.bool().unfold(2, self._patch, self._patch).unfold(3, self._patch, self._patch)
        held = patches.all((-1, -2)) if self._whole else patches.any(-1).any(-1)
        return held.reshape(len(mask), -1)

    def _one(self, image: Any, position: int) -> dict[str, Any]:
        import torch

        try:
            encoded = self._processor(images=[image], return_tensors="pt")
            encoded = {"pixel_values": encoded} if isinstance(encoded, torch.Tensor) else encoded
        except ValueError as error:
            raise InputError(f"Item {position} of the batch cannot be made into pixels: {error}") from error
        inputs = {k: torch.as_tensor(v) for k, v in encoded.items() if k in self._accepts and v is not None}
        pixels = inputs.get("pixel_values")
        if "noise" in self._accepts and self._patch and pixels is not None:
            n = (pixels.shape[2] // self._patch) * (pixels.shape[3] // self._patch)
            inputs["noise"] = torch.arange(n, dtype=torch.float32)[None]  # patches stay in their order
        return inputs

    def example(self) -> Any:
        return np.zeros((64, 64, 3), dtype=np.uint8)

    @property
    def facts(self) -> dict[str, Any]:
        return {"kind": "image", "version": 2, "backend": "pil", "processor": json_digest(self._processor.to_dict())}


class VideoInput(ImageInput):
    """Frames (t, h, w, 3), each made into pixels alike; videos of one length share a pass.

    Args:
        processor: What makes pixels of frames.
        accepts: Names of the arguments that the network takes.
        frames: How many frames the network takes, if it takes no other number.
    """

    modality = "video"

    def __init__(self, processor: Any, *, accepts: Iterable[str], frames: int | None) -> None:
        super().__init__(processor, accepts=accepts, patch=None)
        self._count = frames

    def prepare(self, batch: Sequence[Any], device: str) -> list[Prepared]:
        return share_passes([self._frames(item, i) for i, item in enumerate(batch)], device)

    def _frames(self, item: Any, position: int) -> dict[str, Any]:
        frames = np.asarray(item)
        if frames.ndim != 4 or frames.dtype != np.uint8 or frames.shape[-1] != 3 or 0 in frames.shape:
            raise InputError(
                f"Item {position} of the batch is {frames.dtype} of shape {frames.shape}; a video is uint8 of shape "
                "(frames, h, w, 3)."
            )
        if self._count is not None and len(frames) != self._count:
            raise InputError(
                f"Item {position} of the batch has {len(frames)} frames but {self._count} are taken; give as many."
            )
        encoded = self._processor(images=[as_pil(frame, position) for frame in frames], return_tensors="pt")
        pixels = encoded["pixel_values"]
        name = next(k for k in ("pixel_values_videos", "pixel_values") if k in self._accepts)
        return {name: pixels if pixels.ndim == 5 else pixels[None]}

    def example(self) -> Any:
        return np.zeros((self._count or 16, 64, 64, 3), dtype=np.uint8)

    def probes(self) -> list[Any]:
        return [video[: self._count] for video in probes_of("video")]


def share_passes(each: Sequence[dict[str, Any]], device: str, mask: Any = None) -> list[Prepared]:
    """Items whose tensors are of one shape, and have an axis for items, in one pass."""
    import torch

    alike: dict[Any, list[int]] = {}
    for i, inputs in enumerate(each):
        shapes = tuple((k, tuple(v.shape)) for k, v in inputs.items())
        stackable = all(v.ndim and len(v) == 1 for v in inputs.values())
        alike.setdefault(shapes if stackable else i, []).append(i)
    parts = []
    for positions in alike.values():
        inputs = {k: torch.cat([each[i][k] for i in positions]).to(device) for k in each[positions[0]]}
        held = mask(inputs) if mask is not None else None
        parts.append(Prepared(inputs, positions, None if held is None else held.bool()))
    return parts


def token_limit(tokenizer: Any, config: Any, wanted: int | None, *, offset: int = 0) -> int | None:
    """The most tokens that a text may have: what is wanted, within what tokeniser and network can.

    Args:
        tokenizer: The tokeniser.
        config: The configuration of the text network.
        wanted: What the user wants, or None.
        offset: Positions that the network keeps for itself.

    Raises:
        InputError: if more is wanted than the network can read.
    """
    positions = getattr(config, "max_position_embeddings", None)
    positions = positions - offset if isinstance(positions, int) and positions > offset else None
    limits = [tokenizer.model_max_length, positions]
    known = [int(n) for n in limits if isinstance(n, (int, float)) and 0 < n < _NO_LIMIT]
    limit = min(known, default=None)
    if wanted is None:
        return limit
    if not isinstance(wanted, int) or wanted < 1:
        raise InputError(f"max_length={wanted!r} is no number of tokens; an integer of at least 1 is needed.")
    if positions is not None and wanted > positions:
        raise InputError(f"max_length={wanted} is more than the {positions} positions of this network.")
    return wanted


def without_padding(content: Any) -> Any:
    """Padding and truncation are set anew by every call, so they are no part of what a tokeniser is."""
    if not isinstance(content, str):
        return content
    return {k: v for k, v in json.loads(content).items() if k not in ("padding", "truncation")}


def known_words(tokenizer: Any) -> list[str]:
    """Up to sixteen words that a tokenizer turns into tokens of their own, in the order of its vocabulary.

    Those of letters that are one token each come first; where they are few, others follow.
    """
    special, unknown = set(tokenizer.all_special_ids), tokenizer.unk_token_id
    best: list[str] = []
    others: list[str] = []
    n = len(tokenizer)
    for token in range(0, n, max(1, n // 4000)):
        word = "" if token in special else tokenizer.decode([token]).strip()
        if not word or not word.isprintable() or word in best or word in others:
            continue
        tokens = [t for t in tokenizer(word, add_special_tokens=False)["input_ids"] if t not in special]
        if tokens and unknown not in tokens:
            (best if word.isalpha() and len(tokens) == 1 else others).append(word)
        if len(best) == 16:
            break
    return [*best, *others][:16]


def read_part(parts: Any, kind: str, auto: str, **kwargs: Any) -> Any:
    """A tokenizer or processor of a checkpoint, at hand already or read from its source."""
    import transformers

    return parts.processors.get(kind) or getattr(transformers, auto).from_pretrained(
        parts.source, **parts.kwargs, **kwargs
    )
