"""Statistics over models, whatever they were compared by."""

from __future__ import annotations

from ._dyads import Interval, as_matrices
from .consensus import Agreement, Consensus, consensus
from .divergence import Divergence, diverging
from .factors import Effect, Factors, explain
from .predictivity import Direction, directions
from .structure import Clade, Clusters, Embedding, Tree, clusters, embedding, replicates_of, tree
from .threshold import Leaving, Saturation, isotonic, leaving, saturation
from .trend import Line, fit_line

__all__ = [
    "Agreement",
    "Clade",
    "Clusters",
    "Consensus",
    "Direction",
    "Divergence",
    "Effect",
    "Embedding",
    "Factors",
    "Interval",
    "Leaving",
    "Line",
    "Saturation",
    "Tree",
    "as_matrices",
    "clusters",
    "consensus",
    "directions",
    "diverging",
    "embedding",
    "explain",
    "fit_line",
    "isotonic",
    "leaving",
    "replicates_of",
    "saturation",
    "tree",
]
