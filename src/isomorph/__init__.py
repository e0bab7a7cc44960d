"""Isomorph: how alike are two representation spaces, beyond chance, where, and can it be used?

Importing it loads no numerics, no torch and no plotting: each name is brought in when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core.progress import show_progress
    from ._core.provenance import show_versions
    from .atlases import atlas
    from .concept_maps import concepts
    from .datasets import Audio, PairedItems, load_dataset
    from .diagnosis import diagnose
    from .encoders import Encoder, load_encoder
    from .encoding_models import fit_encoding
    from .errors import FetchError, InputError, IsomorphError, MissingExtraError, StoreError, UnknownNameError
    from .extraction import extract
    from .fusion import fuse
    from .heads import Head, make_head
    from .human_judgments import odd_one_out
    from .leagues import league
    from .maps import Map, make_map
    from .matching import blind_match
    from .metrics import Metric, metric
    from .metrics.rdm import RDMs
    from .migration import apply_map, fit_map
    from .model_comparison import compare_models
    from .networks import stitch_networks
    from .nulls import Null
    from .output_agreement import outputs
    from .rdm_models import explain_rdms, searchlight
    from .reporting import report
    from .results import (
        Alignment,
        Atlas,
        BlindMatch,
        ConceptMap,
        Diagnosis,
        Encoding,
        Fusion,
        League,
        Migration,
        ModelComparison,
        Neighborhoods,
        NetworkStitch,
        OddOneOut,
        Outputs,
        RdmExplanation,
        Scan,
        Searchlight,
        Stitch,
        Threshold,
        Trend,
        load_result,
    )
    from .scanning import scan
    from .significance import difference, false_discovery, gallery_curve, noise_ceiling, power, split_half
    from .stitching import stitch
    from .store import FeatureStore, Layers
    from .study import load_study, run
    from .workers import RayWorkers

_HOMES = {
    "_core.progress": ("show_progress",),
    "_core.provenance": ("show_versions",),
    "atlases": ("atlas",),
    "concept_maps": ("concepts",),
    "datasets": ("Audio", "PairedItems", "load_dataset"),
    "diagnosis": ("diagnose",),
    "encoders": ("Encoder", "load_encoder"),
    "encoding_models": ("fit_encoding",),
    "errors": ("FetchError", "InputError", "IsomorphError", "MissingExtraError", "StoreError", "UnknownNameError"),
    "extraction": ("extract",),
    "fusion": ("fuse",),
    "heads": ("Head", "make_head"),
    "human_judgments": ("odd_one_out",),
    "leagues": ("league",),
    "maps": ("Map", "make_map"),
    "matching": ("blind_match",),
    "metrics": ("Metric", "metric"),
    "metrics.rdm": ("RDMs",),
    "migration": ("apply_map", "fit_map"),
    "model_comparison": ("compare_models",),
    "networks": ("stitch_networks",),
    "nulls": ("Null",),
    "output_agreement": ("outputs",),
    "rdm_models": ("explain_rdms", "searchlight"),
    "reporting": ("report",),
    "results": (
        "Alignment",
        "Atlas",
        "BlindMatch",
        "ConceptMap",
        "Diagnosis",
        "Encoding",
        "Fusion",
        "League",
        "Migration",
        "ModelComparison",
        "Neighborhoods",
        "NetworkStitch",
        "Outputs",
        "OddOneOut",
        "RdmExplanation",
        "Scan",
        "Searchlight",
        "Stitch",
        "Threshold",
        "Trend",
        "load_result",
    ),
    "scanning": ("scan",),
    "significance": ("difference", "false_discovery", "gallery_curve", "noise_ceiling", "power", "split_half"),
    "stitching": ("stitch",),
    "store": ("FeatureStore", "Layers"),
    "study": ("load_study", "run"),
    "workers": ("RayWorkers",),
}

__version__: str  # read from the installed package when it is asked for

__all__ = [
    "Alignment",
    "Atlas",
    "Audio",
    "BlindMatch",
    "ConceptMap",
    "Diagnosis",
    "Encoder",
    "Encoding",
    "FeatureStore",
    "FetchError",
    "Fusion",
    "Head",
    "InputError",
    "IsomorphError",
    "Layers",
    "League",
    "Map",
    "Metric",
    "Migration",
    "MissingExtraError",
    "ModelComparison",
    "Neighborhoods",
    "NetworkStitch",
    "Null",
    "OddOneOut",
    "Outputs",
    "PairedItems",
    "RDMs",
    "RayWorkers",
    "RdmExplanation",
    "Scan",
    "Searchlight",
    "Stitch",
    "StoreError",
    "Threshold",
    "Trend",
    "UnknownNameError",
    "__version__",
    "apply_map",
    "atlas",
    "blind_match",
    "compare_models",
    "concepts",
    "diagnose",
    "difference",
    "explain_rdms",
    "extract",
    "false_discovery",
    "fit_encoding",
    "fit_map",
    "fuse",
    "gallery_curve",
    "league",
    "load_dataset",
    "load_encoder",
    "load_result",
    "load_study",
    "make_head",
    "make_map",
    "metric",
    "noise_ceiling",
    "odd_one_out",
    "outputs",
    "power",
    "report",
    "run",
    "scan",
    "searchlight",
    "show_progress",
    "show_versions",
    "split_half",
    "stitch",
    "stitch_networks",
]


_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOME_OF:
        raise AttributeError(f"module 'isomorph' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return __all__


def _version() -> str:
    """The version of the installed package, or of the source tree that this file lies in."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("isomorph")
    except PackageNotFoundError:
        import tomllib
        from pathlib import Path

        project = Path(__file__).resolve().parents[2] / "pyproject.toml"
        return str(tomllib.loads(project.read_text())["project"]["version"]) if project.is_file() else "unknown"
