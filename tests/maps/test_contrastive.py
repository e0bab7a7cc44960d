"""Trained linear pairs."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from isomorph.errors import InputError, MissingExtraError
from isomorph.maps import make_map
from isomorph.maps.contrastive import Contrastive, Structure

torch = pytest.importorskip("torch")
SPECS = (
    "contrastive(dim=8, steps=150)",
    "contrastive(dim=8, steps=150, loss='sigmoid')",
    "structure(dim=8, steps=150)",
)


def hits(a: np.ndarray, b: np.ndarray) -> float:
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
    return float(np.mean(np.argmax(a @ b.T, axis=1) == np.arange(len(a))))


@pytest.mark.parametrize("spec", SPECS)
def test_held_out_pairs_are_found_and_permuted_ones_are_not(spec: str, pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    fitted = make_map(spec).fit(x[:60], y[:60])
    assert hits(fitted.embed_x(x[60:]), fitted.embed_y(y[60:])) > 0.6
    order = np.random.default_rng(0).permutation(60)
    control = make_map(spec).fit(x[:60], y[order])
    assert hits(control.embed_x(x[60:]), control.embed_y(y[60:])) < 0.3


@pytest.mark.parametrize("spec", SPECS)
def test_the_seed_decides_the_map_and_leaves_the_global_generator_alone(
    spec: str, pairs: tuple[np.ndarray, ...]
) -> None:
    x, y = pairs
    before = torch.get_rng_state()
    first, second = (make_map(spec).set_params(steps=5).fit(x, y) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(first.x_projection_, second.x_projection_)
    other = make_map(spec).set_params(steps=5, seed=1).fit(x, y)
    assert not np.array_equal(first.x_projection_, other.x_projection_)


def test_the_loss_starts_at_the_value_written_out_by_hand(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    fitted = Contrastive(dim=4, steps=1, learning_rate=1e-12, weight_decay=0, temperature=0.2).fit(x, y)
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (fitted.embed_x(x), fitted.embed_y(y)))
    s = a @ b.T / 0.2
    nll = [np.mean(np.log(np.exp(t).sum(axis=1)) - np.diag(t)) for t in (s, s.T)]
    assert fitted.losses_[0] == pytest.approx(np.mean(nll), rel=1e-4)


def test_structure_keeps_neighbourhoods_that_plain_training_on_few_pairs_loses(pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs

    def kept(fitted: Contrastive | Structure) -> float:
        before, after = x - x.mean(axis=0), fitted.embed_x(x)
        grams = [(u := r / np.linalg.norm(r, axis=1, keepdims=True)) @ u.T for r in (before, after)]
        off = ~np.eye(len(x), dtype=bool)
        return float(np.corrcoef(grams[0][off], grams[1][off])[0, 1])

    plain = Contrastive(dim=8, steps=200).fit(x[:20], y[:20])
    keeping = Structure(dim=8, steps=200, strength=100.0).fit(x[:20], y[:20])
    assert kept(keeping) > kept(plain) + 0.02


def test_batches_smaller_than_the_data_are_used(pairs: tuple[np.ndarray, ...]) -> None:
    fitted = Contrastive(dim=8, steps=200, batch=16).fit(*pairs)
    assert fitted.losses_[-10:].mean() < fitted.losses_[:10].mean() / 2


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("contrastive(loss='triplet')", "loss"),
        ("contrastive(dim=0)", "dim"),
        ("contrastive(batch=1)", "batch"),
        ("contrastive(temperature=0)", "temperature"),
        ("structure(levels=0)", "levels"),
        ("structure(strength=-1)", "strength"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(spec: str, word: str, pairs: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(InputError, match=word):
        make_map(spec).fit(*pairs)


def test_without_torch_the_message_names_what_to_install(
    pairs: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"isomorph\[models\]"):
        Contrastive().fit(*pairs)
