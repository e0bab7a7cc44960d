"""Parts of a diffusion pipeline beside its network: where they lie, its latents, its schedule, its noise."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError
from ._hub import reading_checkpoint, refuse_pointer
from ._torch import import_torch

NETWORKS = ("UNet2DModel", "UNet2DConditionModel", "DiTTransformer2DModel")
AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny", "VQModel")
_DENOISERS = ("unet", "transformer")
_WEIGHTS = "diffusion_pytorch_model"
_BETAS = (
    *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas"),
    "rescale_betas_zero_snr",
)
# of another kind: they add noise without scaling the image down, or along a straight line
_OTHER_NOISE = ("EDM", "CMStochastic", "FlowMatch", "KarrasVe", "ScoreSde", "VQDiffusion", "RePaint")


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the parts of a pipeline lie.

    Attributes:
        network: Folder of the denoising network.
        config: Its configuration, of which class it is included.
        autoencoder: Folder of the autoencoder, if there is one.
        scheduler: Configuration of the scheduler, if there is one.
        pipeline: Folder that holds text encoders and tokenizers, if any.
        index: What the pipeline says of itself.
    """

    network: Path
    config: Mapping[str, Any]
    autoencoder: Path | None
    scheduler: Mapping[str, Any] | None
    pipeline: Path
    index: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Class of the network, as diffusers calls it now."""
        named = str(self.config.get("_class_name"))
        is_dit = named == "Transformer2DModel" and self.config.get("norm_type") == "ada_norm_zero"
        return "DiTTransformer2DModel" if is_dit else named


def import_diffusers(what: str) -> Any:
    """The diffusers library.

    Raises:
        MissingExtraError: if it or torch is not installed.
    """
    import_torch(what)
    try:
        import diffusers
    except ImportError as error:
        raise MissingExtraError(what, "diffusers", "diffusion") from error
    return diffusers


def find_places(folder: Path, pipeline: Path | None) -> Places:
    """Find the parts of a pipeline.

    Args:
        folder: Of the pipeline, or of the network alone.
        pipeline: Where the other parts lie, if not in the folder; a folder of an autoencoder alone will do.

    Raises:
        InputError: if there is no network of a kind that can be read.
    """
    for given in (folder, pipeline):
        if given is not None and not given.is_dir():
            raise InputError(f"There is no folder {given}; a diffusion model is a folder of a pipeline or a network.")
    network = next((folder / n for n in _DENOISERS if (folder / n / "config.json").is_file()), folder)
    if not (network / "config.json").is_file():
        raise InputError(
            f"{folder} holds neither unet/config.json nor transformer/config.json nor a config.json; a diffusion model "
            "is the folder of a pipeline or of its network, as save_pretrained of diffusers writes it."
        )
    other = pipeline if pipeline is not None else folder
    autoencoder = next((other / n for n in ("vae", "vqvae") if (other / n / "config.json").is_file()), None)
    if autoencoder is None and pipeline is not None and (pipeline / "config.json").is_file():
        alone = _table(pipeline / "config.json")
        autoencoder = pipeline if alone.get("_class_name") in AUTOENCODERS else None
    steps = other / "scheduler" / "scheduler_config.json"
    index = other / "model_index.json"
    places = Places(
        network,
        _table(network / "config.json"),
        autoencoder,
        _table(steps) if steps.is_file() else None,
        other,
        _table(index) if index.is_file() else {},
    )
    if places.kind not in NETWORKS:
        raise InputError(
            f"{network / 'config.json'} names the class {places.config.get('_class_name')!r}; the networks that can be "
            f"read are {', '.join(NETWORKS)} (a Transformer2DModel with norm_type 'ada_norm_zero' is the last)."
        )
    return places


def load_part(kind: Any, folder: Path) -> Any:
    """A network of diffusers with the weights of its folder, in float32.

    Raises:
        InputError: if weights are not there, are missing or are of another size.
    """
    variant = _find_weights(folder)
    with reading_checkpoint(str(folder)):
        network, info = kind.from_pretrained(
            str(folder),
            use_safetensors=True,
            variant=variant,
            local_files_only=True,
            torch_dtype=import_torch("Loading a diffusion model").float32,
            output_loading_info=True,
        )
    lost = sorted(str(k) for k in info["missing_keys"])
    if lost:
        raise InputError(
            f"The checkpoint {folder} lacks {len(lost)} weights that the architecture has, such as {lost[0]!r}; they "
            "would be random. Repair the checkpoint, or ask for init='random' as a whole."
        )
    return network


@dataclasses.dataclass(frozen=True)
class Latents:
    """What a network denoises: latents of an autoencoder.

    Attributes:
        autoencoder: Its encoding half.
        factor: How many pixels across are one place of the latents.
    """

    autoencoder: Any
    factor: int

    def __call__(self, pixels: Any) -> Any:
        """Latents of images, without chance: the mean of the posterior, scaled as the network was trained on it."""
        torch = import_torch("Running a model")
        config = self.autoencoder.config
        with torch.autocast(pixels.device.type, enabled=False):  # autoencoders overflow in half precision
            found = self.autoencoder.encode(pixels)
            latents = found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents
        scale = getattr(config, "scaling_factor", 1.0)
        mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
        if mean is not None and std is not None:
            mean, std = (
                torch.tensor(v, device=latents.device, dtype=latents.dtype)[:, None, None] for v in (mean, std)
            )
            return (latents - mean) * (scale / std)
        return (latents - (getattr(config, "shift_factor", None) or 0.0)) * scale

    @property
    def channels(self) -> int:
        """How many channels the latents have."""
        return int(self.autoencoder.config.latent_channels)


def load_latents(diffusers: Any, folder: Path) -> Latents:
    """The encoding half of an autoencoder.

    Raises:
        InputError: if it is of a kind that cannot be read, or not complete.
    """
    config = _table(folder / "config.json")
    kind = config.get("_class_name")
    if kind not in AUTOENCODERS:
        raise InputError(
            f"{folder / 'config.json'} names the class {kind!r}; the autoencoders that can be read are "
            f"{', '.join(AUTOENCODERS)}."
        )
    autoencoder = load_part(getattr(diffusers, kind), folder)
    autoencoder.decoder = None
    # a tiny one halves at each stage but the first, and so do the others
    blocks = config.get("encoder_block_out_channels" if kind == "AutoencoderTiny" else "block_out_channels") or (1,)
    return Latents(autoencoder, 2 ** (len(blocks) - 1))


@dataclasses.dataclass(frozen=True)
class Level:
    """How noisy the network's input is, and which timestep it is told: keep · image + noise · drawn.

    Attributes:
        timestep: Step of the training schedule.
        steps: How many steps that has.
        keep: Factor on the image or its latents.
        noise: Factor on the noise drawn.
        schedule: Where the schedule comes from, in words.
    """

    timestep: int
    steps: int
    keep: float
    noise: float
    schedule: str


def choose_level(diffusers: Any, scheduler: Mapping[str, Any] | None, timestep: Any, noise: Any) -> Level:
    """The level that a timestep, a share of noise or both say; a quarter of the schedule if neither is said.

    Args:
        diffusers: The library.
        scheduler: Configuration of the scheduler; None for that of DDPM (linear, 1000 steps).
        timestep: A step of the schedule (int) or how far along it lies (float from 0 to 1).
        noise: Standard deviation of the noise in an input of unit variance, from 0 to 1; the schedule's if None.

    Raises:
        InputError: if the schedule has no such timestep or there is no such level.
    """
    named = str((scheduler or {}).get("_class_name", ""))
    flow = (scheduler or {}).get("use_flow_sigmas")
    if flow or any(word in named for word in _OTHER_NOISE) or (scheduler and "beta_schedule" not in scheduler):
        raise InputError(
            f"The scheduler of this pipeline ({named or 'without a name'}) adds noise in another way than those of "
            "DDPM's kind (variance-preserving, with betas), which alone can be read."
        )
    betas = {k: v for k, v in (scheduler or {}).items() if k in _BETAS}
    with reading_checkpoint("scheduler"):
        kept = diffusers.DDPMScheduler(**betas).alphas_cumprod.double().numpy()
    kept = np.sqrt(np.clip(kept, 0.0, 1.0))
    drawn = np.sqrt(1.0 - kept**2)
    where = f"{named}'s schedule" if scheduler else "the schedule of DDPM (linear, 1000 steps; the folder names none)"
    share = None if noise is None else _read_noise(noise)
    if share is not None and timestep is None:
        step = int(np.abs(drawn - share).argmin())
    else:
        step = _read_timestep(0.25 if timestep is None else timestep, len(kept))
    if share is not None:
        return Level(step, len(kept), float(np.sqrt(1.0 - share**2)), share, where)
    return Level(step, len(kept), float(np.round(kept[step], 9)), float(np.round(drawn[step], 9)), where)


def draw_noise(image: Any, shape: tuple[int, ...], seed: int) -> np.ndarray[Any, Any]:
    """Noise that is a function of an image's pixels and a seed, whatever batch the image comes in."""
    pixels = np.ascontiguousarray(np.asarray(image))
    key = hashlib.sha256(f"{seed}\0{pixels.shape}\0".encode() + pixels.tobytes()).digest()
    return np.random.default_rng(int.from_bytes(key, "little")).standard_normal(shape, dtype=np.float32)


def _read_timestep(timestep: Any, steps: int) -> int:
    if isinstance(timestep, float) and 0.0 <= timestep <= 1.0:
        return round(timestep * (steps - 1))
    if isinstance(timestep, int) and not isinstance(timestep, bool) and 0 <= timestep < steps:
        return timestep
    raise InputError(
        f"timestep={timestep!r} is not in this model's schedule: it is a whole number from 0 to {steps - 1}, or how "
        "far along the schedule it lies, as a float from 0.0 (no noise) to 1.0."
    )


def _read_noise(noise: Any) -> float:
    if isinstance(noise, (int, float)) and not isinstance(noise, bool) and 0 <= noise <= 1:
        return float(noise)
    raise InputError(
        f"noise={noise!r} is no level of noise: it is its standard deviation in an input of unit variance, from 0 (the "
        "item itself) to 1 (noise alone). The seed that noise is drawn with is noise_seed=."
    )


def _find_weights(folder: Path) -> str | None:
    """The variant of the weights that a folder holds: None for the plain ones, which come first.

    Raises:
        InputError: if there are none that may be read.
    """
    names = {p.name for p in folder.iterdir()}
    for variant in (None, "fp16", "bf16"):
        stem = f"{_WEIGHTS}.{variant}" if variant else _WEIGHTS
        index = f"{_WEIGHTS}.safetensors.index{f'.{variant}' if variant else ''}.json"
        if f"{stem}.safetensors" in names or index in names:
            for name in sorted(n for n in names if n.endswith(".safetensors")):
                refuse_pointer(folder / name)
            return variant
    pickles = sorted(n for n in names if n.endswith((".bin", ".pt", ".pth", ".ckpt")))
    if pickles:
        raise InputError(
            f"{folder} holds weights as {pickles[0]} only, which is not read: such files can run code. Save them as "
            "safetensors (save_pretrained of diffusers does), or ask for init='random'."
        )
    raise InputError(f"{folder} holds no weights; {_WEIGHTS}.safetensors is needed, or ask for init='random'.")


def _table(path: Path) -> Mapping[str, Any]:
    with reading_checkpoint(str(path)):
        found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise InputError(f"{path} cannot be read: it holds no table of settings.")
    return found
