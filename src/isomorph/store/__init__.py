"""The feature store: layers on disk, row-addressed by item id, append-only, valid after a kill at any moment."""

from ._entry import Entry
from ._exchange import WRITTEN
from ._features import FeatureStore, choose_view
from ._layers import Layers, index_of
from ._writer import EntryWriter

__all__ = ["WRITTEN", "Entry", "EntryWriter", "FeatureStore", "Layers", "choose_view", "index_of"]
