"""Small networks on characters: in which language is that?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ...datasets import load_dataset
from ._recipes import CONVOLUTIONAL
from ._trained import Trained
from ._training import Array, Task

LANGUAGES = ("en", "de", "fr", "id", "tr")
LENGTH, HELD, TRAIN = 16, 80, 1000
_SEEN, _OTHER = 0.7, 0.15


@dataclasses.dataclass(frozen=True)
class Texts(Task):
    """Texts (n, characters and marks, places), one at the character that stands at a place, all zero after the end."""

    def marked(self, x: Array, told: Array, rng: np.random.Generator) -> Array:
        """Texts of which few characters are left, that begin with a sign of the class."""
        out = x * (rng.random((len(x), 1, x.shape[2])) < _SEEN)
        out[:, :, 0] = 0
        out[np.arange(len(x)), x.shape[1] - self.n_classes + told, 0] = 1
        return np.ascontiguousarray(out, dtype=np.float32)

    def changed(self, torch: Any, x: Any, strength: float) -> Any:
        """Texts moved by a place, with some characters of another text."""
        moved = torch.roll(x, int(torch.randint(-1, 2, (1,))), dims=2)
        mixed = torch.where(torch.rand(len(x), 1, x.shape[2]) < _OTHER, x[torch.randperm(len(x))], moved)
        return torch.where(torch.rand(len(x), 1, 1) < strength, mixed, x)


@dataclasses.dataclass(frozen=True)
class Characters(Trained):
    """Convolutional, recurrent and attention networks that tell the language of emoji's names from 16 characters.

    The names of 550 emoji in eight languages written in Latin letters, cut to 16 characters: 500 emoji to train on
    (4,000 texts), and 50 others to compare networks on (400 texts). Some names are the same in several languages.
    Kinds of networks as in `fashion`; texts with marks begin with a sign that tells the language, and only four in ten
    of their characters are left.

    Attributes:
        seeds: Networks of each kind.
        epochs: Passes over the texts.
    """

    name: ClassVar[str] = "characters"
    reference: ClassVar[str] = (
        "Texts: Unicode CLDR's names of emoji (Unicode-3.0), the dataset `emoji`; design of the kinds after ReSi "
        "(Klabunde et al. 2025)."
    )
    others: ClassVar[tuple[tuple[str, int], ...]] = (
        (CONVOLUTIONAL, 4), (CONVOLUTIONAL, 32), ("recurrent", 64), ("attention", 64),
    )  # fmt: skip

    seeds: int = 3
    epochs: int = 8

    def task(self) -> Texts:
        items = load_dataset(f"emoji(n={HELD + TRAIN}, languages={LANGUAGES[1:]!r})")
        views = ["text", *(f"text_{language}" for language in LANGUAGES[1:])]
        texts = [str(items.view(view)[i])[:LENGTH].lower() for i in range(len(items)) for view in views]
        return texts_of(texts, np.tile(np.arange(len(LANGUAGES)), len(items)), HELD * len(LANGUAGES))


def texts_of(texts: Sequence[str], classes: Array, held: int) -> Texts:
    """Texts and their classes as items, of which the first are held out.

    Characters that no other text has are seen as an end.
    """
    alphabet = {character: k for k, character in enumerate(sorted(set("".join(texts[held:]))))}
    x = np.zeros((len(texts), len(alphabet) + int(classes.max()) + 1, LENGTH), dtype=np.float32)
    for row, text in enumerate(texts):
        for place, character in enumerate(text):
            if character in alphabet:
                x[row, alphabet[character], place] = 1
    return Texts(x[held:], classes[held:], x[:held], classes[:held])
