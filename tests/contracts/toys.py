"""A toy kind for every room: room -> the one file that adds it. Each is as short as a kind of its room can be."""

from __future__ import annotations

TOYS = {
    "metrics/toy_metric.py": '''
"""A toy."""

import dataclasses

from array_api_compat import array_namespace, device

from .._core.linalg import centered_scaled
from ._base import INVARIANCES, NOTHING_VARIES, Metric


@dataclasses.dataclass(frozen=True)
class ToyMetric(Metric):
    """Biased linear CKA, written by hand: the cosine of two matrices of centred inner products.

    Formula:
        <K, L> / (|K| |L|)

    Cost:
        n² d a layer, n² a pair.

    Misleads:
        As CKA does.
    """

    name = "toy_metric"
    range = (0.0, 1.0)
    invariances = frozenset(INVARIANCES) - {"invertible_linear"}
    refuses = NOTHING_VARIES
    chance = "grows with features over items"
    reference = "A toy."

    def prepare(self, x):
        z = centered_scaled(x)
        z = array_namespace(z).astype(z, array_namespace(z).float64)
        k = z @ z.T
        xp = array_namespace(k)
        return k / xp.sqrt(xp.sum(k * k))

    def compare(self, xs, ys):
        xp = array_namespace(xs[0])
        return xp.stack([xp.stack([xp.clip(xp.sum(a * b), 0.0, 1.0) for b in ys]) for a in xs])

    def permute(self, state, order):
        xp = array_namespace(state)
        rows = xp.asarray(order, device=device(state))
        return xp.take(xp.take(state, rows, axis=0), rows, axis=1)
''',
    "maps/toy_map.py": '''
"""A toy."""

import numpy as np

from ._affine import AffineMap


class ToyMap(AffineMap):
    """Least squares with a ridge of one, written by hand."""

    name = "toy_map"
    reference = "A toy."

    def __init__(self):
        pass

    def _fit(self, x, y, factor):
        self.x_mean_, self.y_mean_ = x.mean(axis=0), y.mean(axis=0)
        a, b = x - self.x_mean_, y - self.y_mean_
        self.coef_ = np.linalg.solve(a.T @ a + np.eye(x.shape[1]), a.T @ b)
''',
    "heads/toy_head.py": '''
"""A toy."""

import numpy as np

from ._base import Head
from ._linear import fit_linear


class ToyHead(Head):
    """The mean of what each space's linear model says."""

    name = "toy_head"
    reference = "A toy."

    def __init__(self):
        pass

    def _fit(self, spaces, target, folds, seed):
        self.models_ = {name: fit_linear({name: rows}, target, folds=folds) for name, rows in spaces.items()}

    def _predict(self, spaces):
        return np.mean([self.models_[k].predict({k: rows}) for k, rows in spaces.items() if rows is not None], axis=0)
''',
    "datasets/toy_dataset.py": '''
"""A toy."""

import dataclasses

import numpy as np

from ._base import Dataset, PairedItems


@dataclasses.dataclass(frozen=True)
class ToyDataset(Dataset):
    """Numbers in words and as features.

    Attributes:
        n: How many.
    """

    name = "toy_dataset"
    reference = "A toy."

    n: int = 10

    @classmethod
    def example(cls, folder, n=6):
        return cls(n)

    def load(self):
        ids = [f"number-{i}" for i in range(self.n)]
        views = {"text": [f"the number {i}" for i in range(self.n)], "features": ROWS[: self.n]}
        return PairedItems("toy", tuple(ids), views, source=f"toy_dataset(n={self.n})")


ROWS = np.random.default_rng(0).standard_normal((200, 9))
''',
    "encoders/toy_provider.py": '''
"""A toy."""

import hashlib

import numpy as np

from ..errors import InputError, UnknownNameError
from ._base import Encoder
from ._provider import Provider


class ToyProvider(Provider):
    """Texts as numbers drawn by their hash."""

    name = "toy_provider"
    spec = "toy_provider:NAME"
    reads = "text"
    takes = frozenset()

    @classmethod
    def example(cls, folder):
        return "toy_provider:one", {}

    def load(self, id, revision, options, **extra):
        for option in ("init", "pooling", "dtype", "device"):
            default = type(options).__dataclass_fields__[option].default
            if getattr(options, option) != default:
                raise InputError(f"toy_provider: {option}={getattr(options, option)!r} cannot be had.")
        for layer in options.layers or ():
            if layer != "hash":
                raise UnknownNameError("layer", layer, ("hash",))
        return ToyEncoder()


class ToyEncoder(Encoder):
    provider, name, revision, modality = "toy_provider", "toy_provider:one", "1", "text"
    layers, n_parameters = ("hash",), 0
    identity = {"provider": "toy_provider", "version": 1}

    def encode(self, batch):
        if not len(batch):
            raise InputError("toy_provider: an empty batch.")
        seeds = [list(hashlib.sha256(text.encode()).digest()) for text in batch]
        return {"hash": np.stack([np.random.default_rng(s).standard_normal(4) for s in seeds]).astype(np.float32)}
''',
    "diagnosis/toy_signature.py": '''
"""A toy."""

import numpy as np

from ._base import LayerSignature


class ToySignature(LayerSignature):
    """One feature is the same for every item."""

    name = "toy_signature"
    asks = "Is a feature the same for every item?"
    advice = "Leave the feature out."

    @classmethod
    def planted(cls, rng):
        x = rng.standard_normal((50, 4))
        x[:, 2] = 1
        return {"x": x}

    def measure(self, rows):
        constant = int(np.sum(np.ptp(rows, axis=0) == 0))
        return float(constant), {"constant features": constant}, f"{constant} features are constant."
''',
    "reporting/sections/toy_section.py": '''
"""A toy."""

import dataclasses
from typing import ClassVar

from markupsafe import Markup

from ...results import Result
from .._section import Block, Section, Shown


@dataclasses.dataclass(frozen=True, eq=False)
class ToyResult(Result):
    kind: ClassVar[str] = "toy_section"

    model: str


class ToySection(Section):
    """`ToyResult`: the name of a model."""

    name = "toy_section"

    @classmethod
    def example(cls, text):
        return ToyResult(text)

    def models(self, result):
        return [result.model]

    def show(self, results, context):
        blocks = [
            Block(f"toy-{k}", "A toy", Markup("<p>{}</p>").format(r.model.replace(chr(0), "")))
            for k, r in enumerate(results)
        ]
        return Shown("what is it called?", None, tuple(blocks))
''',
    "leagues/criteria/toy_criterion.py": '''
"""A toy."""

import dataclasses

import numpy as np

from ._base import Criterion
from .design import Grouped


@dataclasses.dataclass(frozen=True)
class ToyCriterion(Grouped):
    """Are networks of one color more alike than others?"""

    name = "toy_criterion"
    reference = "None."
    purpose = "whether two networks have one color"
''',
}
