"""Leagues: which metric tells what, by families of networks of which the truth is known."""

from __future__ import annotations

from ._family import Family, Network
from ._league import league
from ._scores import Scorer
from .criteria import REGISTRY, Criterion, Question
from .families import FAMILIES, load_family
from .settings import METRICS, LeagueSettings

__all__ = [
    "FAMILIES",
    "METRICS",
    "REGISTRY",
    "Criterion",
    "Family",
    "LeagueSettings",
    "Network",
    "Question",
    "Scorer",
    "league",
    "load_family",
]
