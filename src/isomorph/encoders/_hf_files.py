"""Around transformers' own reading of a checkpoint: files that are no weights, classes, initial spreads, adapters."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .._core.packages import file_sha256
from ..errors import InputError, MissingExtraError
from ._hub import open_repository, refuse_pointer
from ._spec import is_path
from ._torch import import_torch, json_digest, seeded

WEIGHTS = ("safetensors", "bin")
READING = ("trust_remote_code", "gguf_file", "weights", "weights_dtype", "attention", "adapter")
_SPREAD = 0.02
_HEADED = ("speecht5",)  # their bare models lack what turns the input into the first block's
_HEADS = ("pooler.", "masked_spec_embed", "mask_token", "lm_head.", "classifier.", "logit_scale")
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
_ADAPTED = "base_model.model."  # what stands before the names of an adapter's weights
# how weights are quantised -> package that reads them, and its module; other ways need none
_QUANTIZERS = {
    "aqlm": ("aqlm", "aqlm"),
    "auto-round": ("auto-round", "auto_round"),
    "awq": ("gptqmodel", "gptqmodel"),
    "bitsandbytes": ("bitsandbytes", "bitsandbytes"),
    "compressed-tensors": ("compressed-tensors", "compressed_tensors"),
    "gptq": ("gptqmodel", "gptqmodel"),
    "hqq": ("hqq", "hqq"),
    "quanto": ("optimum-quanto", "optimum.quanto"),
    "quark": ("amd-quark", "quark"),
    "spqr": ("spqr_quant", "spqr_quant"),
    "torchao": ("torchao", "torchao"),
    "vptq": ("vptq", "vptq"),
}


def check_files(folder: Path, weights: str, adapter: Any, *, random: bool, gguf: str | None) -> None:
    """See that a folder is a checkpoint whose weights may be read.

    Raises:
        InputError: naming what is there and what is missing.
    """
    names = {p.name for p in folder.iterdir()}
    if "adapter_config.json" in names and not adapter:
        raise InputError(
            f"{folder} holds a PEFT adapter; say adapter=True to merge it into the weights beside it, or load its base "
            f"model with adapter={str(folder)!r}. It is never applied unasked."
        )
    if "config.json" not in names and gguf is None:
        raise InputError(f"{folder} has no config.json; a checkpoint of transformers is a folder with one.")
    settings: Any = {}
    for name in sorted(n for n in names if n.endswith((".json", ".model", ".txt"))):
        refuse_pointer(folder / name)
    if gguf is None:
        try:
            settings = json.loads((folder / "config.json").read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{folder / 'config.json'} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise InputError(f"{folder / 'config.json'} cannot be read: it holds no table of settings.")
    if random or gguf is not None:
        return
    check_quantization(str(folder), settings.get("quantization_config"))
    safe = sorted(n for n in names if n.endswith(".safetensors") and not n.startswith("adapter"))
    pickled = sorted(
        n for n in names if n.endswith((".bin", ".pt", ".pth")) and not n.startswith(("adapter", "training_args"))
    )
    if weights == "safetensors" and not safe:
        if pickled:
            raise InputError(
                f"{folder} holds its weights in {pickled[0]}, a pickled file; nothing is unpickled unless asked for by "
                "name: pass weights='bin' (torch then reads it with weights_only), or save it as safetensors."
            )
        raise InputError(f"{folder} holds no weights (*.safetensors); complete the download, or use init='random'.")
    if weights == "bin" and not pickled:
        raise InputError(f"{folder} holds no .bin file; leave weights='bin' out.")
    for name in safe if weights == "safetensors" else pickled:
        refuse_pointer(folder / name)


def check_quantization(name: str, settings: Any) -> None:
    """See that the package is there that reads weights quantised in some way.

    Args:
        name: Of the checkpoint.
        settings: What its configuration says of the quantisation; None if nothing.

    Raises:
        InputError: if it is not; the package is named. Or if no package reads them.
    """
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    if not isinstance(settings, dict):
        return
    method = settings.get("quant_method")
    if method is None and {"load_in_8bit", "load_in_4bit"} & set(settings):
        method = "bitsandbytes"
    # transformers passes over others with a word in its log
    if method not in (*AUTO_QUANTIZATION_CONFIG_MAPPING, "bitsandbytes"):
        raise InputError(
            f"{name} holds weights quantised by {method!r}, which transformers does not read; it reads "
            f"{', '.join(sorted(AUTO_QUANTIZATION_CONFIG_MAPPING))}. Load the checkpoint that was quantised."
        )
    package, module = _QUANTIZERS.get(str(method), ("", ""))
    if module and not _is_there(module):
        raise InputError(
            f"{name} holds weights quantised by {method}, which the package {package} reads; it is not installed. "
            f"Install it (pip install {package}), or load the checkpoint that was quantised."
        )


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its parent is not there, or it is hidden
        return False


def missing_weights(id: str, info: Any) -> tuple[str, ...]:
    """Weights that a checkpoint lacks, but for heads and training-time vectors that no tapped layer depends on.

    Raises:
        InputError: if some are of another size than the configuration says.
    """
    wrong = sorted(str(k[0] if isinstance(k, tuple) else k) for k in info.get("mismatched_keys") or ())
    if wrong:
        raise InputError(
            f"The checkpoint {id} holds {len(wrong)} weights of another size than its config.json says, such as "
            f"{wrong[0]!r}. Weights and configuration are not of one model."
        )
    return tuple(sorted(k for k in info["missing_keys"] if not any(word in k for word in _HEADS)))


def model_class(config: Any, *, whole: bool = False) -> Any:
    """The class that holds the parts that a checkpoint has: the bare model, or its own where that is no head upon it.

    Args:
        config: The configuration.
        whole: Whether the checkpoint's own class is wanted in any case.

    Raises:
        InputError: if the library knows no such class.
    """
    import transformers

    try:
        bare = transformers.AutoModel._model_mapping[type(config)]
    except KeyError:
        bare = None
    bare = bare[0] if isinstance(bare, (tuple, list)) else bare
    named = (getattr(config, "architectures", None) or [""])[0]
    own = getattr(transformers, named, None)
    if own is None or not hasattr(own, "from_pretrained"):
        if bare is None:
            raise InputError(
                f"transformers knows no bare model for {type(config).__name__}; its layers cannot be read."
            )
        return bare
    if whole or bare is None or named.endswith("WithProjection") or getattr(config, "model_type", "") in _HEADED:
        return own
    made = inspect.getsource(own.__init__)
    inside = {own.base_model_prefix, "model"} - {""}
    parts = [set(re.findall(r"self\.(\w+) = [\w.]+\(", inspect.getsource(kind.__init__))) for kind in (bare, own)]
    return bare if any(f"self.{prefix} =" in made for prefix in inside) or parts[0] <= parts[1] else own


def with_spread(config: Any) -> tuple[Any, list[str]]:
    """A configuration whose untrained twin is a network, and what was changed: some declare weights of nothing."""
    changed: list[str] = []
    config = copy.deepcopy(config)
    for where, part in _configs("", config):
        for key in ("initializer_range", "init_std", "initializer_factor"):
            value = getattr(part, key, None)
            if isinstance(value, float) and 0 <= value < 1e-4:
                setattr(part, key, 1.0 if key == "initializer_factor" else _SPREAD)
                changed.append(f"{where}{key}={value:g} was taken as {getattr(part, key):g}")
    return config, changed


def redraw(network: Any, seed: int) -> None:
    """Draw the weights of all linear maps and convolutions anew, in place, with a standard deviation of 1/√fan-in."""
    torch = import_torch("Drawing random weights")
    with seeded(seed), torch.no_grad():
        for module in network.modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)):
                module.weight.normal_(std=module.weight[0].numel() ** -0.5)


def with_adapter(model: Any, source: str) -> tuple[Any, str]:
    """A model with a PEFT adapter merged into its weights, and the adapter's digest.

    Args:
        model: The checkpoint's own model, head included; it is changed in place.
        source: Folder or hub id of the adapter, which may have been made for this model, for the one without its head,
            or for one with another head.

    Raises:
        InputError: if it does not fit the model, changes nothing, or cannot be merged into weights.
        MissingExtraError: if peft is not installed.
        FetchError: if the hub does not have it.
    """
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("Merging an adapter", "peft", "adapters") from error
    folder = _adapter_folder(source)
    config, names = _read_adapter(peft, folder, source)
    root = _adapted_part(model, names)
    before = _sums(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the two libraries will change; what is missing is looked at below
        try:
            adapted = peft.PeftModel.from_pretrained(root, str(folder), config=config, torch_device="cpu")
            unfit = _unfit_names(peft, adapted, root, names)
            merged = None if unfit else adapted.merge_and_unload()
        except (ValueError, RuntimeError, AttributeError, KeyError, TypeError, NotImplementedError) as error:
            text = " ".join(str(error).split())[:300]
            raise InputError(f"The adapter {source} does not fit this model: {text}") from error
    if unfit:
        raise InputError(
            f"The adapter {source} does not fit this model: {unfit[0]!r} is in one of them only. It was made for "
            "another model, or for another number of layers."
        )
    if _sums(merged) == before:
        raise InputError(
            f"The adapter {source} changes no weight of this model: it was made for another, or is untrained."
        )
    return model, json_digest({n: file_sha256(folder / n) for n in _ADAPTER})


def _adapter_folder(source: str) -> Path:
    """Where the files of an adapter lie.

    Raises:
        InputError: if it is not whole, or its weights are pickled.
    """
    if is_path(source):
        folder = Path(source).expanduser()
    else:
        folder = open_repository(source, None, _ADAPTER[0]).get_all(["adapter_*"])
    if not (folder / _ADAPTER[0]).is_file():
        raise InputError(f"adapter={source!r} holds no {_ADAPTER[0]}; a PEFT adapter is a folder with one.")
    if not (folder / _ADAPTER[1]).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        raise InputError(
            f"adapter={source!r} holds no {_ADAPTER[1]}"
            + ("; adapter_model.bin is a pickled file, which is not read: save it as safetensors." if pickled else ".")
        )
    refuse_pointer(folder / _ADAPTER[1])
    return folder


def _read_adapter(peft: Any, folder: Path, source: str) -> tuple[Any, list[str]]:
    """An adapter's configuration, and the names of its weights in the model that it was made for.

    Raises:
        InputError: if it cannot be read, or no weights can take it up.
    """
    from safetensors import SafetensorError, safe_open

    try:
        config = peft.PeftConfig.from_pretrained(str(folder))
        with safe_open(str(folder / _ADAPTER[1]), "pt") as file:
            names = sorted(file.keys())
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        text = " ".join(str(error).split())[:300]
        raise InputError(f"The adapter {source} cannot be read ({type(error).__name__}: {text}).") from error
    if config.is_prompt_learning:
        raise InputError(
            f"The adapter {source} is of the kind {getattr(config.peft_type, 'value', config.peft_type)}, which adds "
            "tokens to the input and cannot be merged into weights; adapters of weights, such as LoRA, can."
        )
    config.task_type = None  # the wrapper for a task wants its head, which no layer depends on
    config.inference_mode = True
    return config, [n.removeprefix(_ADAPTED) for n in names]


def _adapted_part(model: Any, names: Sequence[str]) -> Any:
    """What an adapter's names are names in: the model, the model without its head, or one with another head."""
    torch = import_torch("Merging an adapter")
    prefix = getattr(model, "base_model_prefix", "")
    roots = [model]
    if prefix and isinstance(getattr(model, prefix, None), torch.nn.Module):
        roots.append(getattr(model, prefix))
    elif prefix:
        roots.append(torch.nn.Module())
        roots[-1].add_module(prefix, model)
    return max(roots, key=lambda root: sum(_begins_in(root, n, 2) for n in names))  # of equals the first


def _begins_in(root: Any, name: str, depth: int) -> bool:
    """Whether the first parts of a name are those of a module."""
    for part in name.split(".")[:depth]:
        if part not in root._modules:
            return False
        root = root._modules[part]
    return True


def _unfit_names(peft: Any, adapted: Any, root: Any, names: Sequence[str]) -> list[str]:
    """Weights that the adapter has but the model cannot take, and the other way round; heads aside."""
    wanted = peft.get_peft_model_state_dict(adapted, save_embedding_layers=False)
    wanted = {n.removeprefix(_ADAPTED) for n in wanted}
    whole = {n.removeprefix(_ADAPTED) for n in adapted.state_dict()}
    extra = [n for n in set(names) - wanted - whole if _begins_in(root, n, 1)]
    return sorted(extra) + sorted(wanted - set(names))


def _sums(model: Any) -> dict[str, float]:
    return {n: float(p.detach().double().sum()) for n, p in model.named_parameters()}


def _configs(where: str, config: Any) -> Iterator[tuple[str, Any]]:
    yield where, config
    for key, value in list(vars(config).items()):
        if hasattr(value, "to_dict") and not key.startswith("_"):
            yield from _configs(f"{where}{key}.", value)
