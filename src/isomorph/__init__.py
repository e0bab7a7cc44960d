"""Isomorph: how alike are two representation spaces, beyond chance, where, and can it be used?

Importing it loads neither torch nor a plotting library.
"""

from importlib.metadata import version

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

__version__ = version("isomorph")

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
