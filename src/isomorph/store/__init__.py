"""The feature store: layers in a folder or an object store, row-addressed by item id, valid after a kill."""

from ._entry import Entry
from ._exchange import WRITTEN
from ._features import FeatureStore, choose_view
from ._layers import Layers, index_of
from ._shared import PartWriter
from ._writer import EntryWriter

__all__ = ["WRITTEN", "Entry", "EntryWriter", "FeatureStore", "Layers", "PartWriter", "choose_view", "index_of"]
