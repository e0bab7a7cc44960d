"""The self-check of an encoder: a feature is a function of its item alone, or the encoder is refused in words.

Before a first feature is kept, an encoder runs on a few probes, each alone and all in one batch of another order. What
is found amiss is mended where the encoder knows a certain mending (which becomes part of its identity), else refused.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._core.provenance import installed
from ..errors import InputError, IsomorphError
from ._base import Encoder
from ._probes import Fault

VERSION = 1
_TOLERANCE = {"float64": 1e-5, "float32": 1e-4, "float16": 0.03, "bfloat16": 0.15}
_ALIKE = 1e-6  # rows that differ by less, relative to their size, are the same features

_LIBRARIES = (
    *("torch", "transformers", "onnxruntime", "timm", "open_clip_torch", "sentence-transformers", "diffusers"),
    *("ai-edge-litert", "peft", "gguf"),
)
_NOTHING = 1e-5  # activations of an untrained network that are smaller on average have dwindled away


def check_encoder(encoder: Encoder, probes: Sequence[Any] | None = None, *, mend: bool = True) -> None:
    """Run the self-check of an encoder, mending what can be mended.

    Args:
        encoder: The encoder; its own probes are used unless some are given.
        probes: Items of its modality, at least two.
        mend: Whether faults may be mended; otherwise every fault is an error.

    Raises:
        InputError: naming the layer, the property and what to do.
    """  # noqa: DOC501  # errors of ours pass, and a function makes the other; all are of the class named above
    items = list(probes if probes is not None else encoder.probes())
    try:
        encoder.warm_up(items)
    except IsomorphError:
        raise
    except Exception as error:  # whatever a network raises on an input that it cannot take
        raise _cannot_run(encoder, "a probe", error) from error
    for _ in range(8):
        fault = find_fault(encoder, items)
        if fault is None:
            encoder.checked = "passed"
            return
        done = encoder.mend(fault) if mend else None
        if done is None:
            raise InputError(
                f"{encoder.name} failed its self-check: layer {fault.layer!r} {fault.text} {fault.way_out} "
                "(check=False loads it all the same, and its features say so.)"
            )
        encoder.notes += (done,)
    raise InputError(f"{encoder.name} failed its self-check: what was mended did not help.")


def check_first_batch(encoder: Encoder, batch: Sequence[Any]) -> None:
    """Check an encoder whose items only its user knows on the first batch that has two of them; nothing is mended.

    Raises:
        InputError: if it fails.
    """
    if encoder.checked != "awaits items":
        return
    distinct = _distinct_items([*encoder.waiting, *batch])
    encoder.waiting = tuple(distinct[:1])  # batches of one are checked when another item comes
    if len(distinct) > 1:
        encoder.checked = "passed"  # before the check itself encodes
        try:
            check_encoder(encoder, distinct[:4], mend=False)
        except InputError:
            encoder.checked = "awaits items"
            raise
        return
    encoder.checked = "passed"
    try:
        again = [_rows(encoder, distinct, "an item") for _ in range(3)]
    finally:
        encoder.checked = "awaits items"  # also where the item could not be encoded
    for layer in encoder.layers:
        if any(_far(a[layer][0], again[0][layer][0], _TOLERANCE.get(encoder.precision, 1e-4)) for a in again[1:]):
            raise InputError(f"{encoder.name} failed its self-check: layer {layer!r} {_moves(layer).text}")


def find_fault(encoder: Encoder, probes: Sequence[Any]) -> Fault | None:
    """The first property that does not hold, or None.

    Raises:
        InputError: if a probe cannot be encoded at all.
    """
    tolerance = _TOLERANCE.get(encoder.precision, 1e-4)
    n = len(probes)
    alone = [_rows(encoder, [p], f"a probe ({_name(p)}) alone") for p in probes]
    for layer in encoder.layers:
        widths = {int(a[layer][0].shape[-1]) for a in alone}
        if len(widths) > 1:
            return Fault(
                "width",
                layer,
                f"gives {', '.join(map(str, sorted(widths)))} features for items of unlike size: its features lie "
                "along another axis.",
                "Say which axis is which by axes=, or leave the layer out.",
            )
    order = [*range(1, n), 0][::-1]
    together = _rows(encoder, [probes[i] for i in order], "the probes in one batch")
    for layer in encoder.layers:
        for place, i in enumerate(order):
            if _far(together[layer][place], alone[i][layer][0], tolerance):
                return _why_far(encoder, probes, alone, i, layer, tolerance)
    again = _rows(encoder, [probes[0]], "the first probe once more")
    for layer in encoder.layers:
        if _far(again[layer][0], alone[0][layer][0], tolerance):
            return _moves(layer)
    return _say_nothing(encoder, alone) or encoder.own_fault(probes)


def _why_far(encoder: Encoder, probes: Any, alone: Any, i: int, layer: str, tolerance: float) -> Fault:
    for _ in range(4):  # what is drawn at random may come out the same once
        again = _rows(encoder, [probes[i]], "a probe once more")
        if any(_far(again[k][0], alone[i][k][0], tolerance) for k in encoder.layers):
            return _moves(layer)
    copies = _rows(encoder, [probes[i]] * 2, "two copies of a probe")
    n = range(len(probes))
    pairs = [(a, b) for a in n for b in n if a != b and encoder.alike(probes[a], probes[b])]
    pairs = [p for p in pairs if i in p] or pairs[:2]
    mixed = any(_far(copies[layer][k], alone[i][layer][0], tolerance) for k in (0, 1))
    for a, b in pairs:
        both = _rows(encoder, [probes[b], probes[a]], "two probes of one size")
        mixed = mixed or _far(both[layer][1], alone[a][layer][0], tolerance)
    if mixed or not pairs:
        return Fault(
            "batch",
            layer,
            "gives an item other features when other items share its batch.",
            "Encode with a network in evaluation mode that keeps items apart (no statistics over the batch).",
        )
    return Fault(
        "padding",
        layer,
        "gives an item other features when it is padded to the length of another: padding is attended, or pooled.",
        "Pass items of one length, or hand the mask of padding on to the network and the pooling.",
    )


def _moves(layer: str) -> Fault:
    return Fault(
        "random",
        layer,
        "gives the same item other features at another call: something is drawn at random (masking, cropping, "
        "dropout), or is carried over from call to call.",
        "Switch it off in the checkpoint's configuration or processor, or seed it per item.",
    )


def _say_nothing(encoder: Encoder, alone: Sequence[Any]) -> Fault | None:
    """Layers that do not tell items apart. The first may be a class token that no item has touched yet."""
    for layer in reversed(encoder.layers):
        rows = [a[layer][0].reshape(-1) for a in alone]
        if len({len(r) for r in rows}) > 1:
            continue
        size = max(float(np.linalg.norm(r)) for r in rows)
        gaps = [float(np.linalg.norm(a - b)) for k, a in enumerate(rows) for b in rows[k + 1 :]]
        dwindled = encoder.untrained and size <= _NOTHING * len(rows[0]) ** 0.5
        if dwindled or size == 0 or max(gaps) <= _ALIKE * size:
            if layer == encoder.layers[0] and len(encoder.layers) > 1 and not dwindled:
                continue  # a class or start token that no item has touched yet
            if encoder.untrained:
                return Fault(
                    "constant",
                    layer,
                    "of the untrained twin is (almost) the same for every item: no network that has yet to learn.",
                    "The configuration declares initial weights of almost nothing; set its initializer_range.",
                )
            return Fault(
                "alike", layer, f"gives the same features for all {len(rows)} probes.", _ALIKE_WAY_OUT[encoder.modality]
            )
        # one token alone, or a maximum, may be what two items share; no mean is
        if layer == encoder.layers[-1] and min(gaps) <= _ALIKE * size and encoder.pooling not in ("cls", "last", "max"):
            return Fault("alike", layer, "gives two unlike probes the same features.", _ALIKE_WAY_OUT[encoder.modality])
    return None


_TEXT_WAY_OUT = (
    "Are the tokenizer's files there (every word may become one unknown token)? Does the pooling take a token that "
    "sees the text (pooling='last' or 'mean' for causal networks)?"
)
_OTHER_WAY_OUT = "Does the preprocessing keep the item, and does the pooling take a token that sees it?"
_ALIKE_WAY_OUT: dict[str, str] = {"text": _TEXT_WAY_OUT}
_ALIKE_WAY_OUT |= dict.fromkeys(("image", "audio", "video", "image+text"), _OTHER_WAY_OUT)


def _rows(encoder: Encoder, items: Sequence[Any], what: str) -> Any:
    try:
        return encoder.encode(items)
    except IsomorphError:
        raise
    except Exception as error:  # whatever a network raises on an input that it cannot take
        raise _cannot_run(encoder, what, error) from error


def _cannot_run(encoder: Encoder, what: str, error: Exception) -> InputError:
    text = " ".join(str(error).split())[:300]
    return InputError(
        f"{encoder.name} failed its self-check: it cannot run on {what} ({type(error).__name__}: {text}). "
        "Are the checkpoint's configuration, tokenizer or processor those that it was trained with?"
    )


def _far(a: Any, b: Any, tolerance: float) -> bool:
    if a.shape != b.shape:
        return True
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return bool(np.linalg.norm(a - b) > tolerance * max(float(np.linalg.norm(a)), float(np.linalg.norm(b))))


def _distinct_items(batch: Sequence[Any]) -> list[Any]:
    kept: list[Any] = []
    for item in batch:
        if not any(_same(item, k) for k in kept):
            kept.append(item)
        if len(kept) == 4:
            break
    return kept


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    a, b = (getattr(v, "samples", v) for v in (a, b))
    try:
        return bool(np.array_equal(np.asarray(a), np.asarray(b)))
    except (TypeError, ValueError):
        return False


def _name(item: Any) -> str:
    if isinstance(item, str):
        return f"{len(item.split())} words"
    if getattr(item, "samples", None) is not None:
        return f"{len(item.samples) / item.rate:.2g} s"
    shape = getattr(item, "shape", None)
    return type(item).__name__ if shape is None else " × ".join(map(str, shape))


class Certificates:
    """Which encoders have passed: one small file each, named by all that determines the outcome.

    Args:
        root: The folder; it is made when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, key: str) -> dict[str, Any] | None:
        """What was mended when the encoder passed, or None if it has not."""
        try:
            found = json.loads((self._root / f"{key}.json").read_text())
        except (OSError, ValueError):
            return None
        return found["mended"] if isinstance(found, dict) and isinstance(found.get("mended"), dict) else None

    def write(self, key: str, encoder: Encoder) -> None:
        """Certify an encoder; where nothing can be written, the next run checks again."""
        from .._core.files import atomic_write

        what = {"encoder": encoder.name, "mended": encoder.mended(), "check": VERSION}
        try:
            if self.read(key) is not None:
                return
            self._root.mkdir(parents=True, exist_ok=True)
            atomic_write(self._root / f"{key}.json", json.dumps(what, sort_keys=True).encode())
        except OSError:
            return


def certificate_key(identity: Mapping[str, Any]) -> str:
    """Sha256 over an encoder's identity before anything was mended, and over what checks it."""
    versions = {name: found for name in _LIBRARIES if (found := installed(name))}
    text = json.dumps([VERSION, _code(), versions, identity], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@functools.cache
def _code() -> str:
    """Hash over the code of this room: what was certified by other code is checked again."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()
