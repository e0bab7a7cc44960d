"""The site's reading of docstrings: `Example:` holds code that is run, as `Examples:` does for others."""

from typing import Any

import griffe


class Examples(griffe.Extension):
    """Tells griffe that the section is one of examples."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section of one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
