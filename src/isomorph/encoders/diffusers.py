"""Diffusion networks of the diffusers library, at a stated timestep and noise level: UNets and DiT.

``diffusers:org/name`` and ``diffusers:./folder`` are understood: a pipeline's folder (``unet/`` or ``transformer/``,
``vae/``, ``scheduler/``, …) or that of a network alone. An item is an image; it goes through the pipeline's autoencoder
if there is one (the mean of its posterior), is mixed with noise, and is denoised once. Noise is drawn from the item's
pixels and a seed, so that a feature is a function of its item alone.

Layers are ``embedding`` (what enters the first block), ``block_01``, ``block_02``, … and ``final_norm``. Blocks of a
UNet are its down blocks, its middle block and its up blocks in the order they run (also known by their paths, such as
``mid_block`` or ``up_blocks.1``); those of a DiT are its transformer blocks.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import FetchError, InputError
from ._base import Encoder
from ._diffusion import (
    Latents,
    Level,
    Places,
    choose_level,
    draw_noise,
    find_places,
    import_diffusers,
    load_latents,
    load_part,
)
from ._diffusion_conditions import Conditions, make_conditions
from ._fingerprint import WeightsWatch
from ._hub import Repository, folder_revision, open_repository, reading_checkpoint
from ._inputs import ImagePreprocessing, as_pil
from ._provider import Options, Provider
from ._spec import is_path
from ._taps import Tap, choose_taps
from ._torch import Prepared, TorchEncoder, import_torch, seeded, settle

_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
_PARTS = ("unet", "transformer", "vae", "vqvae", "scheduler", "text_encoder*", "tokenizer*")


class Diffusers(Provider):
    """A diffusion UNet or DiT at a stated noise level, by the diffusers library.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> picture = np.zeros((32, 32, 3), dtype=np.uint8)
        >>> encoder = iso.load_encoder("diffusers:./unet", noise=0.5)  # half of the way to noise
        >>> encoder.layers
        ('embedding', 'block_01', 'block_02', 'block_03', 'block_04', 'block_05', 'final_norm')
        >>> encoder.encode([picture])[encoder.layers[-1]].shape
        (1, 8)
    """

    name: ClassVar[str] = "diffusers"
    spec: ClassVar[str] = "diffusers:FOLDER_OR_ID"
    reads: ClassVar[str] = "image"
    extras: ClassVar[tuple[str, ...]] = ("timestep", "noise", "noise_seed", "prompt", "label", "size", "pipeline")

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        diffusers = import_diffusers("Loading a diffusion model")
        folder, pinned = _folder_of(id, revision)
        pipeline = extra.pop("pipeline", None)
        beside = None if pipeline is None else _folder_of(str(pipeline), None)[0]
        places = find_places(folder, beside)
        level = choose_level(diffusers, places.scheduler, extra.pop("timestep", None), extra.pop("noise", None))
        latents = None if places.autoencoder is None else load_latents(diffusers, places.autoencoder)
        pixels = _pixels(places, latents, extra.pop("size", None))
        conditions = make_conditions(
            places, prompt=extra.pop("prompt", None), label=extra.pop("label", None), size=pixels.size or 0
        )
        kind = getattr(diffusers, places.kind)
        if options.init == "random":
            with reading_checkpoint(str(places.network)), seeded(options.seed):
                network = kind.from_config(dict(places.config))
        else:
            network = load_part(kind, places.network)
        seed = extra.pop("noise_seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise InputError(f"noise_seed={seed!r} is no whole number.")
        name = f"diffusers:{id}@{revision}" if revision and not is_path(id) else f"diffusers:{id}"
        inputs = Inputs(pixels, latents, level, conditions, seed, int(places.config.get("in_channels") or 0))
        return DiffusionEncoder(network, options, inputs, name=name, revision=pinned)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """From images to what the network denoises.

    Attributes:
        pixels: Resizing, cropping and scaling to [-1, 1].
        latents: The autoencoder; None where pixels themselves are denoised.
        level: Timestep and noise.
        conditions: What else the network is told.
        seed: That noise is drawn with.
        channels: Of what the network denoises.
    """

    pixels: ImagePreprocessing
    latents: Latents | None
    level: Level
    conditions: Conditions
    seed: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of what the network denoises."""
        edge = (self.pixels.size or 0) // (self.latents.factor if self.latents else 1)
        return self.channels, edge, edge

    @property
    def facts(self) -> dict[str, Any]:
        """What the identity says, but for the autoencoder's weights."""
        latents = None if self.latents is None else type(self.latents.autoencoder).__name__
        gray = {"channels": 1} if self.latents is None and self.channels == 1 else {}
        level = {"timestep": self.level.timestep, "keep": self.level.keep, "noise": self.level.noise}
        seed = {"noise_seed": self.seed} if self.level.noise else {}
        return {
            "preprocessing": self.pixels.facts | gray,
            "autoencoder": latents,
            "conditions": dict(self.conditions.facts),
            "level": level | seed,
        }


class DiffusionEncoder(TorchEncoder):
    """A frozen denoising network at one timestep and noise level.

    Args:
        network: A UNet or DiT of diffusers.
        options: Pooling, device, dtype, layers, init and seed.
        inputs: From images to what it denoises.
        name: How users call it.
        revision: Of the weights.
    """

    provider: ClassVar[str] = "diffusers"

    def __init__(self, network: Any, options: Options, inputs: Inputs, *, name: str, revision: str) -> None:
        self._inputs, self._called, self._revision = inputs, name, revision
        self._autoencoder: WeightsWatch | None = None
        with reading_checkpoint(name):  # the library warns of every change of type
            network = settle(network, options)
            if inputs.latents is not None:
                self._autoencoder = WeightsWatch(settle(inputs.latents.autoencoder, options))
        self._where = block_paths(network)
        taps = diffusion_taps(network, self._where)
        chosen = _as_they_run(choose_taps(taps, network, options.layers), self._where)
        if not isinstance(options.axes, str):  # of its own blocks they are known, whatever their sizes
            word = "btd" if hasattr(network, "transformer_blocks") else "bchw"
            known = {t.layer: word for t in chosen if t in taps}
            options = dataclasses.replace(options, axes=known | dict(options.axes or {}))
        super().__init__(network, chosen, options, self._denoise, entry=taps[0], widths=_widths(network))

    @property
    def name(self) -> str:
        return f"{self._called}{'?init=random' if self._options.init == 'random' else ''}"

    @property
    def revision(self) -> str:
        return self._revision

    @property
    def modality(self) -> str:
        return "image"

    @property
    def identity(self) -> dict[str, Any]:
        who = {"provider": self.provider, "architecture": type(self._network).__name__}
        weights = {} if self._autoencoder is None else {"autoencoder_weights": self._autoencoder.fingerprint()}
        return who | self.shared_identity() | self._inputs.facts | weights

    @property
    def description(self) -> str:
        level, latents = self._inputs.level, self._inputs.latents
        what = "pixels" if latents is None else f"latents of its {type(latents.autoencoder).__name__}"
        drawn = f"drawn per item from its pixels and seed {self._inputs.seed}" if level.noise else "none drawn"
        return (
            f"{super().description}; diffusers' {type(self._network).__name__} ({_in_words(self._where)}), "
            f"pooling {self._options.pooling}, timestep {level.timestep} of {level.steps}, input {level.keep:.4g} · "
            f"{what} + {level.noise:.4g} · noise ({level.schedule}; noise {drawn}), {self._inputs.conditions.words}"
        )

    def alike(self, a: Any, b: Any) -> bool:
        return True  # all images are brought to one size

    def prepare(self, batch: Sequence[Any]) -> list[Prepared]:
        torch = import_torch("Running a model")
        images = [as_pil(item, i) for i, item in enumerate(batch)]
        inputs = self._inputs
        noise = [draw_noise(image, inputs.shape, inputs.seed) for image in images]
        if inputs.latents is None and inputs.channels == 1:
            images = [image.convert("L").convert("RGB") for image in images]
        kind = torch.float64 if self._options.dtype == "float64" else torch.float32
        pixels, drawn = (
            torch.from_numpy(x).to(self._options.device, kind) for x in (inputs.pixels(images), np.stack(noise))
        )
        if inputs.latents is None:
            pixels = pixels[:, : inputs.channels]
        return [Prepared({"pixels": pixels, "noise": drawn}, range(len(batch)), prefix=0)]

    def _denoise(self, given: Any) -> Any:
        torch = import_torch("Running a model")
        inputs, pixels = self._inputs, given["pixels"]
        clean = pixels if inputs.latents is None else inputs.latents(pixels)
        noisy = inputs.level.keep * clean + inputs.level.noise * given["noise"]
        steps = torch.full((len(pixels),), inputs.level.timestep, dtype=torch.long, device=pixels.device)
        return self._network(noisy, timestep=steps, **inputs.conditions(len(pixels), noisy))


def block_paths(network: Any) -> tuple[str, ...]:
    """Paths of a network's blocks in the order they run."""
    if hasattr(network, "transformer_blocks"):
        return tuple(f"transformer_blocks.{i}" for i in range(len(network.transformer_blocks)))
    middle = ("mid_block",) if network.mid_block is not None else ()
    down, up = (tuple(f"{n}.{i}" for i in range(len(getattr(network, n)))) for n in ("down_blocks", "up_blocks"))
    return (*down, *middle, *up)


def diffusion_taps(network: Any, paths: Sequence[str]) -> tuple[Tap, ...]:
    """The taps of a network whose blocks are known by their paths."""
    digits = max(2, len(str(len(paths))))
    taps = [Tap("embedding", paths[0], is_input=True)]
    taps += [Tap(f"block_{i:0{digits}d}", path) for i, path in enumerate(paths, 1)]
    norm = next((n for n in ("norm_out", "conv_norm_out") if getattr(network, n, None) is not None), None)
    return (*taps, Tap("final_norm", norm)) if norm else tuple(taps)


def _as_they_run(taps: Sequence[Tap], paths: Sequence[str]) -> tuple[Tap, ...]:
    """Taps in the order of the blocks that they are in: a UNet holds its middle block behind its up blocks."""

    def place(tap: Tap) -> float:
        inside = (i for i, p in enumerate(paths) if f"{tap.module}.".startswith(f"{p}."))
        before = tap.module.startswith(("conv_in", "time_", "class_", "add_", "pos_embed"))
        return next(inside, -1 if before else len(paths))

    return tuple(sorted(taps, key=place))


def _in_words(paths: Sequence[str]) -> str:
    """Which blocks are which parts of the network, such as ``block_01 to block_04 are down_blocks``."""
    digits = max(2, len(str(len(paths))))
    groups: dict[str, list[int]] = {}
    for i, path in enumerate(paths, 1):
        groups.setdefault(path.partition(".")[0], []).append(i)
    spans = [(g, f"block_{n[0]:0{digits}d}", f"block_{n[-1]:0{digits}d}") for g, n in groups.items()]
    return ", ".join(f"{a} is {g}" if a == b else f"{a} to {b} are {g}" for g, a, b in spans)


def _widths(network: Any) -> frozenset[int]:
    """Numbers of features that the configuration names."""
    config = network.config
    blocks = getattr(config, "block_out_channels", None)
    return frozenset(blocks if blocks else (config.num_attention_heads * config.attention_head_dim,))


def _pixels(places: Places, latents: Latents | None, size: Any) -> ImagePreprocessing:
    """How images become what the network or its autoencoder takes: the shorter edge to size, its centre, [-1, 1].

    Raises:
        InputError: if no size is known or it does not fit, or the channels do not.
    """
    channels = places.config.get("in_channels")
    if latents is None and channels not in (1, 3):
        raise InputError(
            f"{places.network} takes {channels} channels, which are no image's: they are latents, and no autoencoder "
            "lies beside it. Name the folder of the whole pipeline, or pipeline= a folder that holds vae/."
        )
    if latents is not None and channels != latents.channels:
        raise InputError(
            f"{places.network} takes {channels} channels, but its autoencoder gives {latents.channels}: it is given "
            "more than an image (for inpainting or upscaling), or they are not of one pipeline."
        )
    own, factor = places.config.get("sample_size"), 1 if latents is None else latents.factor
    own = own[0] if isinstance(own, (list, tuple)) and len(set(own)) == 1 else own
    native = own * factor if isinstance(own, int) else None
    edge = native if size is None else size
    if not isinstance(edge, int) or isinstance(edge, bool) or edge < 1:
        raise InputError(
            f"size={size!r} is no number of pixels."
            if size is not None
            else f"{places.network} names no size of square images (sample_size={own!r}); say it by size=, in pixels."
        )
    if places.kind == "DiTTransformer2DModel" and edge != native:
        raise InputError(f"A DiT has places for images of {native} pixels only; leave size={size!r} out.")
    step = factor * 2 ** (len(places.config.get("block_out_channels") or (1,)) - 1)
    if edge % step:
        raise InputError(f"size={edge} is no multiple of {step} pixels, which one place of the network's middle sees.")
    return ImagePreprocessing(edge, edge, scale=1 / 127.5, mean=(1.0,) * 3, std=(1.0,) * 3)


def _folder_of(id: str, revision: str | None) -> tuple[Path, str]:
    """Where the files of a model lie, and the revision that they are of.

    Raises:
        InputError: if there is no such folder.
    """
    if is_path(id):
        folder = Path(id).expanduser()
        if not folder.is_dir():
            raise InputError(f"There is no folder {id}; a diffusion model is a folder of a pipeline or of its network.")
        return folder, folder_revision(folder, below=True)
    repository = _repository(id, revision)
    wanted = [f"{part}/{name}" for part in _PARTS for name in _FILES] + ["config.json", "model_index.json"]
    if not (repository.folder / "model_index.json").is_file():
        wanted += ["*.safetensors"]  # a network alone; beside a pipeline they would be the whole once more
    return repository.get_all(wanted, ["*.fp16.*", "*.non_ema.*", "safety_checker/*"]), repository.commit


def _repository(id: str, revision: str | None) -> Repository:
    """A repository of a pipeline or, where it has no index of one, of a network.

    Raises:
        FetchError: if the hub cannot be reached or has no such model.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    entries = ("model_index.json", "config.json")
    cached: list[str] = []
    with contextlib.suppress(ValueError):  # a text that cannot be the name of a repository; opening it says so
        cached = [n for n in entries if isinstance(try_to_load_from_cache(id, n, revision=revision), str)]
    first = (cached or entries)[0]
    try:
        return open_repository(id, revision, first)
    except FetchError as error:
        if not isinstance(error.__cause__, EntryNotFoundError) or first != entries[0]:
            raise
        return open_repository(id, revision, entries[1])
