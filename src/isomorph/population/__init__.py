"""Statistics over models, whatever they were compared by."""

from __future__ import annotations

from ._collinear import basis_of, exact_groups
from ._dyads import Interval, as_alpha, as_matrices
from .consensus import Agreement, Consensus, consensus
from .divergence import Divergence, diverging
from .domains import DomainDivergence, diverging_by_domain
from .factors import Effect, Factors, explain
from .predictivity import Direction, directions
from .several import SeveralSpaces, several_spaces
from .structure import Clade, Clusters, Embedding, Tree, clusters, embedding, replicates_of, tree
from .threshold import Further, Leaving, Saturation, further, isotonic, leaving, saturation
from .trend import Line, fit_line

__all__ = [
    "Agreement",
    "Clade",
    "Clusters",
    "Consensus",
    "Direction",
    "Divergence",
    "DomainDivergence",
    "Effect",
    "Embedding",
    "Factors",
    "Further",
    "Interval",
    "Leaving",
    "Line",
    "Saturation",
    "SeveralSpaces",
    "Tree",
    "as_alpha",
    "as_matrices",
    "basis_of",
    "clusters",
    "consensus",
    "directions",
    "diverging",
    "diverging_by_domain",
    "embedding",
    "exact_groups",
    "explain",
    "fit_line",
    "further",
    "isotonic",
    "leaving",
    "replicates_of",
    "saturation",
    "several_spaces",
    "tree",
]
