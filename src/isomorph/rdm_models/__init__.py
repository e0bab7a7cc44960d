"""Several model RDMs at once: weighted, each given the others, divided; and over the spheres of a searchlight."""

from __future__ import annotations

from ._explain import explain_rdms
from .settings import ExplainSettings

__all__ = ["ExplainSettings", "explain_rdms"]
