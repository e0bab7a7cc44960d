"""Any ``torch.nn.Module`` of the user's own, with the user's preprocessing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from ..errors import InputError, UnknownNameError
from ._base import Encoder
from ._inputs import ImagePreprocessing
from ._provider import Options, Provider
from ._taps import Tap, choose_taps
from ._torch import Prepared, TorchEncoder, import_torch, settle

MODALITIES = ("image", "text", "audio")


class Module(Provider):
    """Networks that are at hand as objects: pass one to `load_encoder` in place of a name."""

    name: ClassVar[str] = "module"
    extras: ClassVar[tuple[str, ...]] = (
        "module",
        "preprocess",
        "preprocessing",
        "modality",
        "name",
        "named",
    )

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        module = extra.pop("module", None)
        if module is None:
            raise InputError(
                "The provider 'module' takes a torch.nn.Module, which no text can name: call load_encoder(module, "
                "preprocess=…, modality=…) from Python."
            )
        return ModuleEncoder(module, options, **extra)


class ModuleEncoder(TorchEncoder):
    """A module of the user's own.

    The module itself is put into evaluation mode on the chosen device and its gradients are switched off.

    Args:
        module: The network.
        options: Pooling, device, dtype and layers. Layers are module paths or glob patterns, such as
            ``["stem", "blocks.*"]``; if None, the direct children of the module.
        preprocess: Takes a list of items and returns a tensor (b, …), or a mapping of tensors for keyword arguments; a
            boolean or integer ``attention_mask`` (b, t) in the mapping is respected in pooling. The default for images
            is 224 × 224, centre crop, ImageNet mean and standard deviation.
        preprocessing: One line that says what `preprocess` does and its version. It is part of the identity: change it
            whenever `preprocess` changes, since code cannot be compared. The default is the function's qualified name
            and source, where Python can read that.
        modality: ``"image"``, ``"text"`` or ``"audio"``.
        name: How the encoder is called; by default the class of the module.
        named: Names for layers: layer -> module path. `options.layers` may use them; if that is None, these are the
            layers.
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
        if preprocess is None and modality != "image":
            raise InputError(f"A module for {modality} needs preprocess=…, a function from a list of items to tensors.")
        self._preprocess = preprocess or ImagePreprocessing()
        self._preprocessing = preprocessing or describe(self._preprocess)
        self._modality, self._called = modality, name or type(module).__name__
        paths = named or {n: n for n, _ in module.named_children()}
        known = [n for n, _ in module.named_modules() if n]
        for path in paths.values():
            if path not in known:
                raise UnknownNameError("module path", path, known)
        children = [Tap(layer, path) for layer, path in paths.items()]
        taps = choose_taps(children, module, options.layers)
        super().__init__(settle(module, options), taps, options, functools.partial(_call, module))

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
        who = {"provider": self.provider, "model": self.name, "architecture": repr(self._network)}
        return who | self.shared_identity() | {"preprocessing": self._preprocessing}

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
        return [Prepared(prepared, range(len(batch)), None if mask is None else mask.bool())]


def _call(module: Any, inputs: Any) -> Any:
    return module(**inputs) if isinstance(inputs, Mapping) else module(inputs)


def describe(preprocess: Any) -> Any:
    """JSON-able facts about a preprocessing function: its own, or its name and source."""
    if isinstance(preprocess, ImagePreprocessing):
        return preprocess.facts
    name = f"{getattr(preprocess, '__module__', '')}.{getattr(preprocess, '__qualname__', type(preprocess).__name__)}"
    try:
        source = inspect.getsource(preprocess)
    except (OSError, TypeError):
        source = ""
    return {"function": name, "source": source}
