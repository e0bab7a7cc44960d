"""Vision networks of the timm library: by name, from the hub, or from a folder as timm's `save_for_hf` writes it.

``timm:resnet18.a1_in1k``, ``timm:hf-hub:org/name`` and ``timm:./folder`` are understood. Layers are ``embedding`` (what
enters the first block or stage), ``block_01``, ``block_02``, … and ``final_norm`` where all tokens or places are
normalised after the last one. What counts as a block is what timm itself groups parameters by: the blocks of a
transformer, the stages of a convolutional or hierarchical network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ..errors import InputError, MissingExtraError, UnknownNameError
from ._base import Encoder
from ._eval_transform import EvalTransform, timm_transform
from ._hub import find_weights, folder_revision, open_repository, reading_checkpoint
from ._provider import Options, Provider
from ._spec import is_path
from ._taps import Tap, block_taps, choose_taps
from ._torch import Prepared, TorchEncoder, as_precise, import_torch, seeded, settle

_WEIGHTS = ("model.safetensors",)
_PLACES = ("file", "url", "source", "hf_hub_id", "hf_hub_filename", "state_dict")
# their class tokens join only behind the blocks, or they have several branches: what is seen decides
_BETWEEN = re.compile(r"(^|\.)(patch_embed|pos_|transition|downsample)")  # what timm groups with blocks but are none
_PREFIX_IS_SEEN = ("cait", "xcit", "tnt", "crossvit", "coat", "volo", "pit")


class Timm(Provider):
    """A network of the timm library, or a local checkpoint of one.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> picture = np.zeros((32, 32, 3), dtype=np.uint8)
        >>> encoder = iso.load_encoder("timm:./vit")  # a local checkpoint, or a name of the library
        >>> encoder.layers
        ('embedding', 'block_01', 'block_02', 'final_norm')
        >>> encoder.encode([picture])[encoder.layers[-1]].shape
        (1, 16)
    """

    name: ClassVar[str] = "timm"
    spec: ClassVar[str] = "timm:NAME"
    reads: ClassVar[str] = "image"

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        timm = import_timm("Loading a timm model")
        if is_path(id):
            folder = Path(id).expanduser()
            make, pinned = _from_folder(timm, folder, id, options), folder_revision(folder)
            name = id
        elif "/" in id:
            repository = open_repository(id.removeprefix("hf-hub:").removeprefix("hf_hub:"), revision, "config.json")
            if options.init == "pretrained":
                _fetched_weights(repository.get(_WEIGHTS[0]), id)
            make, pinned = _from_folder(timm, repository.folder, id, options), repository.commit
            name = f"{id}@{revision}" if revision else id
        else:
            make, pinned = _from_registry(timm, id, revision, options)
            name = f"{id}@{revision}" if revision else id
        with reading_checkpoint(f"timm:{id}"):
            if options.init == "random":
                with seeded(options.seed):
                    network = make()
            else:
                network = make()
        return TimmEncoder(network, options, name=f"timm:{name}", revision=pinned)


class TimmEncoder(TorchEncoder):
    """A frozen network of timm, head included.

    Args:
        network: What timm made.
        options: Pooling, device, dtype, layers, init and seed.
        name: How users call it.
        revision: Of the weights; empty where they are random ones.
    """

    provider: ClassVar[str] = "timm"

    def __init__(self, network: Any, options: Options, *, name: str, revision: str = "") -> None:
        import timm

        _forget_places(network)
        network = settle(network, options)
        self._transform = timm_transform(timm.data.resolve_model_data_config(network))
        self._called, self._revision = name, revision
        self._prefix_tokens = prefix_tokens(network)
        example = as_precise(pixels(self._transform, [_gray()], options.device), options)
        taps = timm_taps(network, lambda: network(example))
        chosen = choose_taps(taps, network, options.layers)
        super().__init__(network, chosen, options, network, entry=taps[0], widths=timm_widths(network))

    @property
    def name(self) -> str:
        return f"{self._called}{'?init=random' if self._options.init == 'random' else ''}"

    @property
    def revision(self) -> str:
        return self._revision or f"sha256-{self.weights[:16]}"

    @property
    def modality(self) -> str:
        return "image"

    @property
    def identity(self) -> dict[str, Any]:
        cfg = getattr(self._network, "pretrained_cfg", {})
        who = {
            "provider": self.provider,
            "architecture": str(cfg.get("architecture", type(self._network).__name__)),
            "arguments": _plain(getattr(self._network, "_model_args", {})),
            "input": list(cfg.get("input_size", ())),
        }
        return who | self.shared_identity() | {"preprocessing": self._transform.facts}

    @property
    def description(self) -> str:
        kind = f"timm's {type(self._network).__name__}"
        norm = "final norm as its own layer" if "final_norm" in self.layers else "no final norm over all tokens"
        return f"{super().description}; {kind}, pooling {self._options.pooling}, {norm}"

    def prepare(self, batch: Sequence[Any]) -> list[Prepared]:
        return [
            Prepared(
                pixels(self._transform, batch, self._options.device), range(len(batch)), prefix=self._prefix_tokens
            )
        ]


def import_timm(what: str) -> Any:
    """The timm library.

    Raises:
        MissingExtraError: if it, torch or torchvision is not installed.
        InputError: if torchvision does not fit torch.
    """
    import_torch(what)
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError(what, missing_package(error, "timm"), "timm") from error
    except RuntimeError as error:  # torchvision's compiled operators do not fit this torch
        raise InputError(unfit_torchvision(what, error)) from error
    return timm


def missing_package(error: ImportError, default: str) -> str:
    """The package that an import failed for: torchvision where it is that, else the library itself."""
    return "torchvision" if (error.name or "").partition(".")[0] == "torchvision" else default


def unfit_torchvision(what: str, error: Exception) -> str:
    """What to say where torchvision is there but does not fit the torch that is."""
    return (
        f"{what} needs torchvision, and the one that is installed does not fit this torch ({error}). Install both from "
        "one place, as their installation page pairs them."
    )


def pixels(transform: EvalTransform, batch: Sequence[Any], device: str) -> Any:
    """Images as the tensor (b, 3, h, w) that a network takes."""
    torch = import_torch("Running a model")
    return torch.from_numpy(transform(batch)).to(device)


def timm_taps(network: Any, forward: Callable[[], Any], inside: str = "") -> tuple[Tap, ...]:
    """The taps of a network of timm, by its own grouping of parameters; by what runs where it has none.

    Args:
        network: The module whose taps are named.
        forward: Runs it once.
        inside: Path of timm's network in `network`.
    """
    trunk = network.get_submodule(inside)
    ahead = f"{inside}." if inside else ""
    has_norm = next(getattr(trunk, "norm", trunk).parameters(), None) is not None and hasattr(trunk, "norm")
    found = taps_of_blocks(
        network, [ahead + p for p in _block_paths(trunk)], f"{ahead}norm" if has_norm else None, forward
    )
    return found or block_taps(network, forward)


def taps_of_blocks(network: Any, paths: Sequence[str], norm: str | None, forward: Callable[[], Any]) -> tuple[Tap, ...]:
    """The taps of a network whose blocks are known by their paths; none if none of them runs.

    Args:
        network: The module.
        paths: Of the blocks.
        norm: Path of a normalisation, which is a layer if it gives what the last block gave.
        forward: Runs the network once.
    """
    seen = _watch(network, [*paths, *([norm] if norm else [])], forward)
    ran = [s for s in seen if s[0] != norm]
    if not ran:
        return ()
    digits = max(2, len(str(len(ran))))
    taps = [Tap("embedding", ran[0][0], 0, is_input=True)]
    taps += [Tap(f"block_{i:0{digits}d}", path, call) for i, (path, call, _) in enumerate(ran, 1)]
    after = seen[seen.index(ran[-1]) + 1 :]
    if norm and after and after[0][2] == ran[-1][2] and len(after[0][2]) > 2:
        taps.append(Tap("final_norm", norm, after[0][1]))
    return tuple(taps)


def _block_paths(trunk: Any) -> list[str]:
    """Paths of what timm's group_matcher calls blocks, in its coarse form, in the order of the modules."""
    import torch

    try:
        groups = trunk.group_matcher(coarse=True)
    except (AttributeError, TypeError, NotImplementedError, AssertionError):
        return []  # some networks have none, or none of this form
    if not isinstance(groups, dict):
        return []
    rules = [
        re.compile(rule)
        for group, found in groups.items()
        if not group.startswith("stem")
        for rule, place in ([(found, None)] if isinstance(found, str) else found)
        if place is None and re.compile(rule).groups
    ]
    paths: list[str] = []
    for path, module in trunk.named_modules():
        if not any(rule.fullmatch(path) for rule in rules) or _BETWEEN.search(path):
            continue
        if isinstance(module, torch.nn.ModuleList):  # never called itself: its members are the blocks
            paths += [f"{path}.{child}" for child, _ in module.named_children()]
        else:
            paths.append(path)
    return paths


def _watch(network: Any, paths: Sequence[str], forward: Callable[[], Any]) -> list[tuple[str, int, tuple[int, ...]]]:
    """What ran of some modules: path, which call of it, and the shape that came out."""
    torch = import_torch("Running a model")
    calls = dict.fromkeys(paths, 0)
    ran: list[tuple[str, int, tuple[int, ...]]] = []

    def note(path: str, out: Any) -> None:
        out = out[0] if isinstance(out, (tuple, list)) and out else out
        if isinstance(out, torch.Tensor):
            ran.append((path, calls[path], tuple(out.shape)))
        calls[path] += 1

    handles = [
        network.get_submodule(p).register_forward_hook(lambda _m, _a, out, p=p: note(p, out))
        for p in dict.fromkeys(paths)
    ]
    try:
        with torch.inference_mode():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return ran


def prefix_tokens(network: Any) -> int | None:
    """How many class, distillation and register tokens the network's class puts in front; None if it does not say."""
    if type(network).__module__.rpartition(".")[2] in _PREFIX_IS_SEEN:
        return None
    told = getattr(network, "num_prefix_tokens", None)
    if isinstance(told, int):
        return told
    return None if any("cls_token" in n or "class_token" in n for n, _ in network.named_parameters()) else 0


def timm_widths(network: Any) -> frozenset[int]:
    """Numbers of features that a network of timm names."""
    told = [getattr(network, a, None) for a in ("num_features", "embed_dim", "head_hidden_size")]
    told += [f.get("num_chs") for f in getattr(network, "feature_info", ()) or () if isinstance(f, dict)]
    flat = [n for t in told for n in (t if isinstance(t, (tuple, list)) else (t,))]
    return frozenset(n for n in flat if isinstance(n, int) and n > 0)


def _from_folder(timm: Any, folder: Path, id: str, options: Options) -> Callable[[], Any]:
    """What makes the network of a folder.

    Raises:
        InputError: if the folder is no checkpoint of timm.
        UnknownNameError: if its architecture is not known.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise InputError(
            f"There is no {config}; a timm folder holds config.json and model.safetensors, as save_for_hf writes them."
        )
    with reading_checkpoint(id):
        facts = json.loads(config.read_text(encoding="utf-8"))
    architecture = facts.get("architecture") if isinstance(facts, dict) else None
    if not isinstance(architecture, str):
        raise InputError(
            f"{config} names no architecture of timm; for a checkpoint of transformers, leave 'timm:' out."
        )
    if not timm.is_model(architecture):
        raise UnknownNameError("timm model", architecture, timm.list_models(), f"({config} names it.)")
    if options.init == "random":
        return lambda: timm.create_model(f"local-dir:{folder}", pretrained=False)
    # the file is named, so that timm looks for no other
    overlay = {"source": "", "file": str(find_weights(folder, _WEIGHTS)), "custom_load": False}
    return lambda: timm.create_model(f"local-dir:{folder}", pretrained=True, pretrained_cfg_overlay=overlay)


def _from_registry(timm: Any, id: str, revision: str | None, options: Options) -> tuple[Callable[[], Any], str]:
    """What makes the network that timm knows by a name, and the commit of its weights (empty for random ones).

    Raises:
        UnknownNameError: if timm has no such model, or no such weights of it.
        InputError: if there are no weights of it that can be read.
    """
    architecture, _, tag = id.partition(".")
    if not timm.is_model(architecture):
        known = timm.list_models(pretrained=True) if tag else timm.list_models()
        raise UnknownNameError("timm model", id, known, "timm.list_models() names them all.")
    tags = timm.models.list_pretrained(f"{architecture}.*") + timm.models.list_pretrained(architecture)
    if tag and id not in tags and tag not in timm.models.get_arch_pretrained_cfgs(architecture):
        raise UnknownNameError("pretrained timm model", id, tags, "")
    if options.init == "random":
        return lambda: timm.create_model(id, pretrained=False), ""
    cfg = timm.get_pretrained_cfg(id)
    place = (cfg.hf_hub_id or "") if cfg is not None else ""
    if not place:
        has = f"weights of it: {', '.join(tags)}." if tags else "It can be had untrained, by init='random'."
        raise InputError(f"timm names no weights of {id} on the hub that could be read as data. {has}")
    repository = open_repository(place.partition("@")[0], revision or place.partition("@")[2] or None, "config.json")
    named = cfg.hf_hub_filename if (cfg.hf_hub_filename or "").endswith(".safetensors") else _WEIGHTS[0]
    weights = _fetched_weights(repository.get(named), id)
    overlay = {"source": "", "file": str(weights), "custom_load": False}
    return lambda: timm.create_model(id, pretrained=True, pretrained_cfg_overlay=overlay), repository.commit


def _fetched_weights(path: Path | None, id: str) -> Path:
    if path is None:
        raise InputError(
            f"The hub has no {_WEIGHTS[0]} for {id}; weights in other forms are not read, since they can run code."
        )
    return path


def _forget_places(network: Any) -> None:
    """Take out of a network's own facts where its weights lay: they are the same network from another folder."""
    cfg = getattr(network, "pretrained_cfg", None)
    if isinstance(cfg, dict):
        network.pretrained_cfg = network.default_cfg = {k: v for k, v in cfg.items() if k not in _PLACES}


def _gray() -> Any:
    import numpy as np

    return np.full((64, 64, 3), 128, dtype=np.uint8)


def _plain(arguments: Any) -> Any:
    """Arguments as JSON has them."""
    return json.loads(json.dumps(arguments, sort_keys=True, default=str))
