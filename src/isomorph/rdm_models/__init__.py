"""Several model RDMs at once: weighted, each given the others, divided; and over the spheres of a searchlight."""

from __future__ import annotations

from ._explain import explain_rdms
from ._searchlight import searchlight
from .settings import ExplainSettings, SearchlightSettings

__all__ = ["ExplainSettings", "SearchlightSettings", "explain_rdms", "searchlight"]
