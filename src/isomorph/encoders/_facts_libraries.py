"""Facts about what libraries hold: tensors, networks, tokenisers, configurations, pictures."""

from __future__ import annotations

import functools
import hashlib
import pathlib
import re
import sys
import tempfile
from collections.abc import Callable
from typing import Any, TypeAlias

from ._facts_plain import name_of, sha
from ._state import state_digest, tensor_digest

Place: TypeAlias = tuple[str, ...]
Walker: TypeAlias = Any  # that of `_facts`, which calls what is here

# what networks and a library's objects keep beside what was set: caches that their use fills, and where they came from
PASSING = re.compile(r"cached|(^|_)cache$|name_or_path|warnings_issued|_is_hf_initialized|_commit_hash")
# what a configuration says of where it came from and by what it was written
_ORIGINS = frozenset((
    "_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "_diffusers_version", "architectures",
    "dtype", "torch_dtype", "tokenizer_file", "vocab_file", "merges_file", "special_tokens_map_file",
    "processor_class", "_processor_class",
))  # fmt: skip
_OF_TOKENIZERS = (
    "padding_side", "truncation_side", "model_max_length", "special_tokens_map", "model_input_names", "chat_template",
)  # fmt: skip


def library_facts(walker: Walker, x: Any, place: Place) -> Any:
    """Facts about an object of a class that is known here; None if it is of none."""
    for (module, name), facts in _KINDS.items():
        loaded = sys.modules.get(module)  # an object of a class that was never imported cannot be here
        kind = getattr(loaded, name, None) if loaded is not None else None
        if isinstance(kind, type) and isinstance(x, kind):
            return facts(walker, x, place)
    to_dict = getattr(x, "to_dict", None)
    if callable(to_dict) and type(x).__module__.partition(".")[0] in ("transformers", "diffusers"):
        attention = getattr(x, "_attn_implementation", None)  # a configuration does not save it
        settings = walker.value(_without_origins(to_dict()), place)
        return {"of": name_of(type(x)), "settings": settings} | ({"attention": attention} if attention else {})
    return None


def module_facts(walker: Walker, network: Any, place: Place, *, training: bool) -> list[Any]:
    """Class and settings of every module in a network.

    Args:
        walker: What turns the settings into facts.
        network: The network.
        place: Where it stands.
        training: Whether it matters if a module is in training mode.
    """
    facts = []
    for path, module in network.named_modules(remove_duplicate=False):
        library = walker.library(type(module).__module__)
        own = [
            (k, v)
            for k, v in vars(module).items()
            if k not in _module_internals() and not PASSING.search(k)
            if not (library and not walker.deep and k.startswith("_"))
        ]
        code = getattr(module, "code", None) if library else None  # of traced and exported networks
        own += [("code", code)] if isinstance(code, str) else []
        hooks = [h for kind in ("_forward_pre_hooks", "_forward_hooks") for h in getattr(module, kind).values()]
        own += [("forward hooks", hooks)] if hooks else []
        own += [("training", module.training)] if training else []
        where = (f"module {path or '(root)'!r}", *place)
        with walker.setting(refuse=walker.refuse and not library):
            of = name_of(type(module)) if library else walker.value(type(module), where)
            settings = {k: v if type(v) is bool else walker.value(v, (f"attribute {k!r}", *where)) for k, v in own}
        facts.append([path, of, dict(sorted(settings.items()))])
    return facts


def _tensor(walker: Walker, x: Any, place: Place) -> Any:
    facts = {"tensor": str(x.dtype), "shape": list(x.shape)}
    try:
        return facts | {"sha256": tensor_digest(x)}
    except (RuntimeError, NotImplementedError, TypeError):
        return walker.refused(x, place, "its values cannot be read")


def _network(walker: Walker, x: Any, place: Place) -> dict[str, Any]:
    modules = module_facts(walker, x, place, training=True)
    return {"network": name_of(type(x)), "state": state_digest(x, type(walker)(refuse=False).value), "modules": modules}


def _tokenizer(walker: Walker, x: Any, place: Place) -> Any:
    """A tokeniser of transformers: its table, and what it does around it."""
    settings = {k: v for k, v in x.init_kwargs.items() if k not in _ORIGINS and not hasattr(v, "__dict__")}
    settings |= {k: getattr(x, k, None) for k in _OF_TOKENIZERS}
    backend = getattr(x, "backend_tokenizer", None)
    if backend is not None:
        text = backend.to_str()
        # in front stand cutting and padding, which every call sets anew
        table: Any = sha(text[max(text.find('"added_tokens":'), 0) :].encode())
    else:
        table = _saved_digest(x)
    if table is None:
        return walker.refused(x, place, "its vocabulary cannot be read")
    settings = dict(sorted(settings.items()))
    return {"of": walker.value(type(x), place), "table": table, "settings": walker.value(settings, place)}


def _saved_digest(tokenizer: Any) -> str | None:
    total = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = tokenizer.save_vocabulary(folder)
        except Exception:  # tokenisers without files raise what they like
            return None
        for file in sorted(map(pathlib.Path, files or ())):
            total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def _picture(walker: Walker, x: Any, place: Place) -> dict[str, Any]:
    palette = x.getpalette() if x.mode in ("P", "PA") else None
    return {"picture": [x.mode, *x.size], "sha256": sha(x.tobytes()), "palette": walker.value(palette, place)}


def _without_origins(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {k: _without_origins(v) for k, v in facts.items() if k not in _ORIGINS}
    return [_without_origins(v) for v in facts] if type(facts) is list else facts


@functools.cache
def _module_internals() -> frozenset[str]:
    import torch

    return frozenset(vars(torch.nn.Module()))


def _by_text(walker: Walker, x: Any, place: Place) -> Any:
    return walker.by_text(x, place)


_KINDS: dict[tuple[str, str], Callable[[Walker, Any, Place], Any]] = {
    ("torch", "Tensor"): _tensor,
    ("torch.nn", "Module"): _network,
    ("torch", "Generator"): lambda walker, x, place: walker.random_numbers(x, place),
    ("torch", "dtype"): _by_text,
    ("torch", "device"): _by_text,
    ("torch", "layout"): _by_text,
    ("torch", "memory_format"): _by_text,
    ("transformers.tokenization_utils_base", "PreTrainedTokenizerBase"): _tokenizer,
    # the parts of a processor are its attributes
    ("transformers.processing_utils", "ProcessorMixin"): lambda walker, x, place: walker.beside(x, place),
    ("tokenizers", "Tokenizer"): lambda walker, x, place: {"of": name_of(type(x)), "sha256": sha(x.to_str().encode())},
    ("tokenizers", "AddedToken"): lambda walker, x, place: {name_of(type(x)): repr(x)},
    ("PIL.Image", "Image"): _picture,
}
