"""An encoder that counts what it computes, items for it, and what a single writer makes of them."""

import numpy as np

from isomorph.datasets._base import PairedItems
from isomorph.encoders._base import Encoder

BATCH = 4


class Counting(Encoder):
    """Features that depend on the whole batch, so that another division would give other bytes."""

    provider, modality, n_parameters, revision = "fake", "text", 7, "1"
    name, layers = "fake:counting", ("first", "block/1")
    identity = {"pooling": "mean"}  # noqa: RUF012  # a property in the base, a constant here

    def __init__(self):
        self.seen = []

    def encode(self, batch):
        self.seen += batch
        sums = np.array([[len(t), sum(map(ord, t))] for t in batch], dtype=np.float32)
        sums += sums.mean(axis=0)
        return {"first": np.sin(sums), "block/1": np.cos(np.hstack([sums, sums[:, :1]]))}


def make_items(n=32):
    texts = [f"item {i} " + "x" * (i * 7 % 11) for i in range(n)]
    return PairedItems("things", tuple(f"id{i}" for i in range(n)), {"text": texts})


def same(one, other):
    """Whether two layers have the same ids, bytes and provenance."""
    return (
        one.ids == other.ids
        and list(one) == list(other)
        and one.provenance == other.provenance
        and all(one[k].tobytes() == other[k].tobytes() and one[k].dtype == other[k].dtype for k in one)
    )
