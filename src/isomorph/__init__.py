"""Isomorph: how alike are two representation spaces, beyond chance, where, and can it be used?

Importing it loads no numerics, no torch and no plotting: each name is brought in when it is first used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .datasets import Audio, PairedItems, load_dataset
    from .encoders import Encoder, load_encoder
    from .errors import FetchError, InputError, IsomorphError, MissingExtraError, StoreError, UnknownNameError
    from .extraction import extract
    from .metrics import Metric, Null, metric
    from .report import report
    from .results import Alignment, Neighborhoods, Scan, load_result
    from .scan import scan
    from .store import FeatureStore, Layers
    from .study import load_study, run

_HOMES = {
    "datasets": ("Audio", "PairedItems", "load_dataset"),
    "encoders": ("Encoder", "load_encoder"),
    "errors": ("FetchError", "InputError", "IsomorphError", "MissingExtraError", "StoreError", "UnknownNameError"),
    "extraction": ("extract",),
    "metrics": ("Metric", "Null", "metric"),
    "report": ("report",),
    "results": ("Alignment", "Neighborhoods", "Scan", "load_result"),
    "scan": ("scan",),
    "store": ("FeatureStore", "Layers"),
    "study": ("load_study", "run"),
}

__all__ = [
    "Alignment",
    "Audio",
    "Encoder",
    "FeatureStore",
    "FetchError",
    "InputError",
    "IsomorphError",
    "Layers",
    "Metric",
    "MissingExtraError",
    "Neighborhoods",
    "Null",
    "PairedItems",
    "Scan",
    "StoreError",
    "UnknownNameError",
    "__version__",
    "extract",
    "load_dataset",
    "load_encoder",
    "load_result",
    "load_study",
    "metric",
    "report",
    "run",
    "scan",
]


def _public(home: str, name: str) -> property:
    def get(self: ModuleType) -> Any:
        return self.__dict__[name] if name in self.__dict__ else getattr(import_module(f"isomorph.{home}"), name)

    def keep(self: ModuleType, value: Any) -> None:
        # `isomorph.scan` is a module and a function of it: when Python binds the module to the package after importing
        # it, the name goes on meaning the function
        if not isinstance(value, ModuleType):
            self.__dict__[name] = value

    return property(get, keep)


def _version(self: ModuleType) -> str:
    from importlib.metadata import version

    return version("isomorph")


class _Facade(ModuleType):
    """The package as its users see it."""

    __version__ = property(_version)

    def __dir__(self) -> list[str]:
        return __all__


for _home, _names in _HOMES.items():
    for _name in _names:
        setattr(_Facade, _name, _public(_home, _name))

sys.modules[__name__].__class__ = _Facade
