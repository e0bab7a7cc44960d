"""Any ``torch.nn.Module`` of the user's own, with the user's preprocessing."""

from __future__ import annotations

import copy
import functools
import inspect
import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ..errors import InputError, UnknownNameError, quoted
from . import _fingerprint
from ._base import Encoder
from ._inputs import ImagePreprocessing
from ._provider import Options, Provider
from ._taps import Tap, choose_taps
from ._torch import Prepared, TorchEncoder, import_torch, settle

MODALITIES = ("image", "text", "audio")


class Module(Provider):
    """Networks that are at hand as objects, or made by a function of the user's: ``module:file.py:function``.

    The function is called without arguments. It gives a module, or a mapping with ``module`` and options of the
    encoder, such as ``preprocess`` and ``modality``. Its file is run only because the user named it.

    Example:
        >>> from pathlib import Path
        >>> import isomorph as iso
        >>> _ = Path("nets.py").write_text('''
        ... import torch
        ...
        ... def small():
        ...     net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
        ...     return {"module": net, "modality": "text", "preprocess": vectors}
        ...
        ... def vectors(texts):  # a batch
        ...     return torch.tensor([[len(text), *map(text.count, "aei")] for text in texts]).float()''')
        >>> encoder = iso.load_encoder("module:nets.py:small")
        >>> encoder.layers, encoder.encode(["a cat", "a dog"])["1"].shape
        (('0', '1'), (2, 8))
    """

    name: ClassVar[str] = "module"
    spec: ClassVar[str] = "module:FILE.py:FUNCTION"
    reads: ClassVar[str] = "any"
    takes: ClassVar[frozenset[str]] = frozenset({"pooling", "dtype"})
    extras: ClassVar[tuple[str, ...]] = (
        "module",
        "preprocess",
        "preprocessing",
        "modality",
        "name",
        "named",
        "prefix",
    )

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        module = extra.pop("module", None)
        if module is None and ":" in id:
            made = made_by(id)
            extra = {"name": id, **made, **extra}
            module = extra.pop("module")
        if module is None:
            raise InputError(
                "The provider 'module' takes a torch.nn.Module, which no text can name: call load_encoder(module, "
                "preprocess=…, modality=…) from Python, or name a function that makes it: module:file.py:function."
            )
        return ModuleEncoder(module, options, **extra)


def called(where: str) -> Any:
    """What a function in a file of the user's gives: ``file.py:function``, run only because the user named it.

    Raises:
        InputError: if there is no such file, or it fails.
        UnknownNameError: if there is no such function.
    """
    file, _, function = where.rpartition(":")
    if not (file and function):
        raise InputError(f"module:{where} names no function in a file; write module:file.py:function.")
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"module:{where}: there is no file {file}; write module:file.py:function.")
    try:
        made = runpy.run_path(str(path))
    except Exception as error:  # whatever the user's file raises
        raise InputError(f"module:{where}: {file} cannot be run: {type(error).__name__}: {error}") from error
    if not callable(made.get(function)):
        raise UnknownNameError(f"function in {file}", function, [k for k, v in made.items() if inspect.isfunction(v)])
    try:
        return made[function]()
    except Exception as error:  # whatever the user's function raises
        raise InputError(f"module:{where}: {function}() fails: {type(error).__name__}: {error}") from error


def made_by(where: str) -> dict[str, Any]:
    """What a function in a file of the user's makes: ``{"module": …}`` and options of the encoder.

    Raises:
        InputError: if there is no such file, it fails, or it makes no module.
        UnknownNameError: if there is no such function, or it gives an unknown option.
    """
    function, found = where.rpartition(":")[2], called(where)
    options = dict(found) if isinstance(found, Mapping) else {"module": found}
    if "module" not in options:
        raise InputError(f"module:{where}: {function}() gives {', '.join(map(str, options))}, and no 'module'.")
    for option in options:
        if option not in Module.extras:
            raise UnknownNameError(f"option given by {function}()", str(option), Module.extras)
    return options


class ModuleEncoder(TorchEncoder):
    """A module of the user's own.

    The module itself runs, in evaluation mode and without gradients at every call, unless `device` or `dtype` ask for
    another place or type than it has: then a copy of it does, and the user's stays as it is.

    Args:
        module: The network.
        options: Pooling, device, dtype and layers. Layers are module paths or glob patterns, such as
            ``["stem", "blocks.*"]`` (``*`` is one part of a path), ``"attn@2"`` for the second call of a module that is
            called several times; if None, the direct children of the module, of lists of modules their members.
        preprocess: Takes a list of items and returns a tensor (b, …), or a mapping of tensors for keyword arguments; a
            boolean or integer ``attention_mask`` (b, t) in the mapping is respected in pooling. The default for images
            is 224 × 224, centre crop, ImageNet mean and standard deviation.
        preprocessing: One line that says what `preprocess` does and its version. It is part of the identity: change it
            whenever `preprocess` changes. The default is all that the function's outcome hangs on: its code, arguments,
            closure, globals and what these hold; what cannot be known is refused.
        modality: ``"image"``, ``"text"`` or ``"audio"``.
        name: How the encoder is called; by default the class of the module.
        named: Names for layers: layer -> module path. `options.layers` may use them; if that is None, these are the
            layers.
        prefix: How many class and register tokens stand in front, for ``pooling="mean_no_cls"``.
        untrained: Says that the weights of `module` are the random ones that ``init="random"`` asks for.

    Raises:
        InputError: if the module is no torch module, or an option does not fit.
        UnknownNameError: if a layer or the modality is not known.
    """

    provider: ClassVar[str] = "module"

    def __init__(
        self,
        module: Any,
        options: Options,
        *,
        preprocess: Callable[[Sequence[Any]], Any] | None = None,
        preprocessing: str | None = None,
        modality: str = "image",
        name: str | None = None,
        named: Mapping[str, str] | None = None,
        prefix: int | None = None,
        untrained: bool = False,
    ) -> None:
        torch = import_torch("Encoding with a module")
        if not isinstance(module, torch.nn.Module):
            raise InputError(f"A model is given by its name or as a torch.nn.Module, found {type(module).__name__}.")
        if options.init == "random" and not untrained:
            raise InputError(
                "A module of your own cannot be drawn anew; pass an untrained one instead of init='random'."
            )
        if modality not in MODALITIES:
            raise UnknownNameError("modality", modality, MODALITIES)
        if preprocess is not None and not callable(preprocess):
            raise InputError(f"preprocess must be a function from items to tensors, found {quoted(preprocess)}.")
        if preprocess is None and modality != "image":
            raise InputError(f"A module for {modality} needs preprocess=…, a function from a list of items to tensors.")
        self._preprocess = preprocess or ImagePreprocessing()
        self._own_items = preprocess is not None and not isinstance(preprocess, ImagePreprocessing)
        self._said_preprocessing = preprocessing
        self._preprocessing()  # what cannot be known is refused now
        if prefix is not None and (not isinstance(prefix, int) or prefix < 0):
            raise InputError(f"prefix={prefix!r} is no number of tokens.")
        self._said_prefix = prefix
        self._modality, self._called = modality, name or type(module).__name__
        paths = named or {n: n for n in _callable_children(module)}
        known = [n for n, _ in module.named_modules() if n]
        for path in paths.values():
            if path not in known:
                raise UnknownNameError("module path", path, known)
        children = [Tap(layer, path) for layer, path in paths.items()]
        taps = choose_taps(children, module, options.layers)
        if _must_change(module, options):
            module = copy.deepcopy(module)
        super().__init__(settle(module, options, own=untrained), taps, options, functools.partial(_call, module))

    @property
    def name(self) -> str:
        return f"module:{self._called}"

    @property
    def revision(self) -> str:
        return f"sha256-{self.weights[:16]}"

    @property
    def modality(self) -> str:
        return self._modality

    @property
    def identity(self) -> dict[str, Any]:
        who = {
            "provider": self.provider,
            "model": self.name,
            "architecture": repr(self._network),
        }
        prefix = {} if self._said_prefix is None else {"prefix": self._said_prefix}
        return who | self.shared_identity() | {"preprocessing": self._preprocessing()} | prefix

    def _preprocessing(self) -> Any:
        """What the preprocessing hangs on as it is now: attributes and globals may have changed since."""
        return self._said_preprocessing or _fingerprint.describe(self._preprocess)

    def probes(self) -> list[Any]:
        return [] if self._own_items else super().probes()  # what the user's own function takes, only the user knows

    def prepare(self, batch: Sequence[Any]) -> list[Prepared]:
        torch = import_torch("Encoding with a module")
        inputs = self._preprocess(list(batch))
        if isinstance(inputs, Mapping):
            tensors = {k: torch.as_tensor(v).to(self._options.device) for k, v in inputs.items()}
            first, mask = next(iter(tensors.values())), tensors.get("attention_mask")
            prepared: Any = tensors
        else:
            first, mask = torch.as_tensor(inputs).to(self._options.device), None
            prepared = first
        if first.ndim < 1 or len(first) != len(batch):
            raise InputError(
                f"{self.name}: preprocess turned {len(batch)} items into {tuple(first.shape)}; "
                "the first axis must be the items."
            )
        return [Prepared(prepared, range(len(batch)), None if mask is None else mask.bool(), self._said_prefix)]


def _call(module: Any, inputs: Any) -> Any:
    return module(**inputs) if isinstance(inputs, Mapping) else module(inputs)


def _callable_children(module: Any, above: str = "") -> Iterator[str]:
    """Paths of the direct children; of lists, which are never called themselves, those of their members."""
    torch = import_torch("Encoding with a module")
    for name, child in module.named_children():
        path = f"{above}{name}"
        if isinstance(child, (torch.nn.ModuleList, torch.nn.ModuleDict)):
            yield from _callable_children(child, f"{path}.")
        else:
            yield path


def _must_change(module: Any, options: Options) -> bool:
    torch = import_torch("Encoding with a module")
    wanted = torch.float64 if options.dtype == "float64" else torch.float32
    tensors = [*module.parameters(), *module.buffers()]
    try:
        device = torch.device(options.device)
    except RuntimeError:
        return False  # which `settle` refuses in words
    return any(t.device.type != device.type or (t.is_floating_point() and t.dtype != wanted) for t in tensors)
