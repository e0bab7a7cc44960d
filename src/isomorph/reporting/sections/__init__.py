"""One module for each kind of result that a report can show; adding one is adding a module here."""

from __future__ import annotations

from ..._core.registry import Registry
from .._section import Section

sections: Registry[Section] = Registry("report section", __name__, Section, "isomorph.report_sections")
