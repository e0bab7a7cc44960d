"""Isomorph: how alike are two representation spaces, beyond chance, where, and can it be used?

Importing it loads no numerics, no torch and no plotting: each name is brought in when it is first used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .datasets import Audio, PairedItems, load_dataset
    from .diagnosis import diagnose
    from .encoders import Encoder, load_encoder
    from .errors import FetchError, InputError, IsomorphError, MissingExtraError, StoreError, UnknownNameError
    from .extraction import extract
    from .maps import Map, make_map
    from .metrics import Metric, Null, metric
    from .networks import stitch_networks
    from .report import report
    from .results import Alignment, Diagnosis, Neighborhoods, NetworkStitch, Scan, Stitch, load_result
    from .scan import scan
    from .significance import difference, false_discovery, gallery_curve, power
    from .stitch import stitch
    from .store import FeatureStore, Layers
    from .study import load_study, run

_HOMES = {
    "datasets": ("Audio", "PairedItems", "load_dataset"),
    "diagnosis": ("diagnose",),
    "encoders": ("Encoder", "load_encoder"),
    "errors": ("FetchError", "InputError", "IsomorphError", "MissingExtraError", "StoreError", "UnknownNameError"),
    "extraction": ("extract",),
    "maps": ("Map", "make_map"),
    "metrics": ("Metric", "Null", "metric"),
    "networks": ("stitch_networks",),
    "report": ("report",),
    "results": ("Alignment", "Diagnosis", "Neighborhoods", "NetworkStitch", "Scan", "Stitch", "load_result"),
    "scan": ("scan",),
    "significance": ("difference", "false_discovery", "gallery_curve", "power"),
    "stitch": ("stitch",),
    "store": ("FeatureStore", "Layers"),
    "study": ("load_study", "run"),
}

__version__: str  # read from the installed package when it is asked for

__all__ = [
    "Alignment",
    "Audio",
    "Diagnosis",
    "Encoder",
    "FeatureStore",
    "FetchError",
    "InputError",
    "IsomorphError",
    "Layers",
    "Map",
    "Metric",
    "MissingExtraError",
    "Neighborhoods",
    "NetworkStitch",
    "Null",
    "PairedItems",
    "Scan",
    "Stitch",
    "StoreError",
    "UnknownNameError",
    "__version__",
    "diagnose",
    "difference",
    "extract",
    "false_discovery",
    "gallery_curve",
    "load_dataset",
    "load_encoder",
    "load_result",
    "load_study",
    "make_map",
    "metric",
    "power",
    "report",
    "run",
    "scan",
    "stitch",
    "stitch_networks",
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
