"""Families of models as tiny checkpoints, each with features that the library gives when it is run by hand.

A family writes a checkpoint folder as its users' own would be; every side of it says what each layer holds for one
item, worked out with transformers itself, one item at a time, without this package.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isomorph.datasets import Audio

WORDS = ["<pad>", "<s>", "</s>", "<unk>", "<cls>", "<sep>", "<mask>"]
WORDS += ["a", "cat", "sat", "on", "the", "red", "mat", "dog", "runs", "home", "now", "small"]
"""Vocabulary of every text family, by token id."""

Rows = dict[str, np.ndarray]
"""Layer name -> float32 array (t, d) of the tokens, patches, frames or places that one item has."""


@dataclasses.dataclass(frozen=True)
class Side:
    """A part of a model that is read by itself.

    Attributes:
        name: As users write it; ``""`` where the model has one part only.
        modality: Of its items: ``"image"``, ``"text"``, ``"audio"`` or ``"video"``.
        by_hand: From the checkpoint's folder and one item to the rows of every layer.
        prefix: Class, distillation and register tokens in front; None where there is no such thing (texts).
        layers_optional: Layers of `by_hand` that an encoder may leave out.
        items: Items of its own, where those of the modality do not fit.
    """

    name: str
    modality: str
    by_hand: Callable[[str, Any], Rows]
    prefix: int | None = 0
    layers_optional: frozenset[str] = frozenset()
    items: Callable[[], list[Any]] | None = None


@dataclasses.dataclass(frozen=True)
class Family:
    """An architecture.

    Attributes:
        name: Unique, such as ``"dinov2-registers"``.
        modality: Of its items.
        build: Writes tokenizer and processor files into a folder and returns the model, of the class that real
            checkpoints have; weights are seeded, perturbed and saved by `checkpoint`.
        sides: Its parts.
        architecture: What the docs show, such as ``"DINOv2 with registers"``.
        fast: Whether it is among the few that are always tested.
        noise: Standard deviation of what is added to the initial weights.
        settle: Last touch to the perturbed model, such as the statistics that training would have left in it.
    """

    name: str
    modality: str
    build: Callable[[Path], Any]
    sides: tuple[Side, ...]
    architecture: str
    fast: bool = False
    noise: float = 0.2
    settle: Callable[[Path, Any], None] | None = None


FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Add a family to the zoo.

    Raises:
        ValueError: if there is one of that name.
    """
    if family.name in FAMILIES:
        raise ValueError(f"there is a family {family.name!r} already")
    FAMILIES[family.name] = family
    return family


def items(modality: str) -> list[Any]:
    """Six probe items of unlike length or shape.

    Raises:
        ValueError: if there is no such modality.
    """
    rng = np.random.default_rng(0)
    if modality == "text":
        return [
            "a cat",
            "the red dog runs home now",
            "cat",
            "a small red cat sat on the mat now",
            "the mat",
            "dog runs",
        ]
    if modality == "image":
        return [_scene(rng, 1, 40 + 3 * i, 52 - 4 * i)[0] for i in range(6)]
    if modality == "video":
        return [_scene(rng, 8, 36 + 2 * i, 44 - 2 * i) for i in range(6)]
    if modality == "audio":
        lengths = [1600, 2400, 6400, 3333, 1600, 4801]
        return [Audio(rng.normal(0, 0.1, n).astype(np.float32), 16000) for n in lengths]
    raise ValueError(f"there are no probe items for {modality!r}")


def _scene(rng: np.random.Generator, frames: int, height: int, width: int) -> np.ndarray:
    """Frames (n, height, width, 3) of a coloured gradient that drifts, under noise: no two are alike on average."""
    t, y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in (max(frames, 2), height, width)), indexing="ij")
    colour, slopes = rng.uniform(40, 215, 3), rng.uniform(-90, 90, (3, 3))
    clean = colour + np.stack([t, y, x], axis=-1) @ slopes
    noisy = clean + rng.normal(0, 25, clean.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)[:frames]


_made: dict[tuple[str, str], str] = {}


def checkpoint(name: str, root: Path) -> str:
    """The folder of a family's checkpoint below `root`, built at the first call."""
    key = (name, str(root))
    if key not in _made:
        import torch

        family, folder = FAMILIES[name], Path(root) / name
        folder.mkdir(parents=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            model = family.build(folder).eval()
            with torch.no_grad():  # initial biases and norms are trivial and would hide errors
                for parameter in model.parameters():
                    if parameter.is_floating_point():
                        parameter.add_(family.noise * torch.randn_like(parameter))
                if family.settle is not None:
                    family.settle(folder, model)
            model.save_pretrained(folder)
        _made[key] = str(folder)
    return _made[key]


def write(folder: Path, name: str, content: Any) -> None:
    """Write a JSON file."""
    (Path(folder) / name).write_text(json.dumps(content))


def tokenizer(**special: Any) -> Any:
    """A word-level tokenizer over `WORDS`."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokens = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | special
    return PreTrainedTokenizerFast(tokenizer_object=core, **tokens)


def image_processor(folder: Path, kind: str = "ViTImageProcessor", **extra: Any) -> None:
    """Write the configuration of an image processor."""
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
    write(folder, "preprocessor_config.json", facts | extra)


def rows(x: Any) -> np.ndarray:
    """A float32 array of a tensor."""
    return np.ascontiguousarray(x.detach().float().numpy())


@functools.cache
def model_of(folder: str, kind: str = "AutoModel", **config: Any) -> Any:
    """The model of a folder in evaluation mode, loaded by transformers alone."""
    import transformers

    return getattr(transformers, kind).from_pretrained(folder, **config).eval()


def watch(run: Callable[[], Any], blocks: Sequence[Any], norm: Any = None) -> dict[str, Any]:
    """What enters the first block, what each call of a block gives in running order, and what the norm gives.

    Args:
        run: Runs the network once.
        blocks: The modules that are its blocks.
        norm: The module that normalises all tokens after the last block, if there is one.
    """
    import torch

    entered: list[Any] = []
    left: list[Any] = []
    normed: list[Any] = []

    def first(value: Any) -> Any:
        while not isinstance(value, torch.Tensor):
            value = value[0]
        return value.clone()  # before anything overwrites it

    handles = [
        blocks[0].register_forward_pre_hook(
            lambda _m, args, kwargs: entered.append((args[0] if args else kwargs["hidden_states"]).clone()),
            with_kwargs=True,
        )
    ]
    handles += [b.register_forward_hook(lambda _m, _a, out: left.append(first(out))) for b in dict.fromkeys(blocks)]
    if norm is not None:
        handles.append(norm.register_forward_hook(lambda _m, _a, out: normed.append(first(out))))
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    layers = {"embedding": entered[0]} | {f"block_{i:02d}": x for i, x in enumerate(left, 1)}
    return layers | ({"final_norm": normed[-1]} if norm is not None else {})


def load_all() -> dict[str, Family]:
    """Import every module of families that there is, and give all families."""
    import importlib
    import pkgutil

    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return FAMILIES
