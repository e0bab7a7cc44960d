"""The result of a stitch, out of what its maps, controls and ceilings scored."""

from __future__ import annotations

from collections.abc import Sequence

from ..conditions import BASELINE, CEILING, Comparison
from ..heldout.bootstrap import Bootstrap
from ..heldout.evidence import best_refit_p, margins, refit_p, shared_names, summaries
from ..heldout.scores import Scores
from ..maps import Map
from ..results import DESCENDING, MapScores, Stitch, listed
from ._curves import examples
from ._layers import LAYER_GALLERY
from ._runs import PERMUTED, SELF, Stitched, Work

NATIVE = "probe_native"  # the same for every map: no control and no permutation says anything of it
TARGETED = ("r2", "cosine", "overlap")  # scores that depend on what y is, so that another y is no control for them


def assembled(
    work: Work,
    comparisons: Sequence[Comparison],
    found: Sequence[Stitched],
    bootstrap: Bootstrap,
    ids: Sequence[str],
    *,
    by: str,
    test_fraction: float,
) -> Stitch:
    """The scores of every map, without curves and without how it was made."""
    main, left, right = found[0], comparisons[0].left, comparisons[0].right
    holdout, layers = work.holdout, (tuple(left.layers), tuple(right.layers))
    # sorted throughout, as saving sorts: a result that was loaded is the same to its last line
    scores = {m.spec: _map_scores(m, comparisons, found, bootstrap) for m in sorted(work.maps, key=lambda m: m.spec)}
    best = max(work.maps, key=lambda m: scores[m.spec]["mrr"].value)
    fits = [(main.scores(m.spec), main.permuted[m.spec]) for m in work.maps]
    return Stitch(
        x_name=left.name,
        y_name=right.name,
        maps=scores,
        x_layers=layers[0],
        y_layers=layers[1],
        chosen=tuple((layers[0][i], layers[1][j]) for i, j in main.chosen),
        layer_scores=main.layer_scores,
        layer_map=work.maps[0].spec,
        baseline_layer_scores={
            c.label: s.layer_scores for c, s in zip(comparisons, found, strict=True) if c.role == BASELINE
        },
        n=left.n,
        n_train=tuple(len(s.train) for s in holdout.splits),
        n_test=tuple(len(s.test) for s in holdout.splits),
        by=by,
        test_fraction=float(test_fraction),
        seed=holdout.seed,
        level=bootstrap.level,
        permutations=holdout.permutations,
        correction=work.task.correction,
        p_maximum=best_refit_p(fits, "mrr") if holdout.permutations else None,
        examples=examples(best, main.scored[best.spec][0], [ids[i] for i in holdout.splits[0].test], holdout.seed),
        ids=tuple(ids),
        test_rows=tuple(tuple(int(i) for i in s.test) for s in holdout.splits),
        notes=tuple(_notes(work, main, scores, len(layers[0]) * len(layers[1]))),
        x_view=str(left.facts.get("view", "")),
        y_view=str(right.facts.get("view", "")),
        dataset=str(left.facts.get("dataset", "")),
        conditions=tuple(c.condition for c in comparisons[1:]),
    )


def _notes(work: Work, main: Stitched, scores: dict[str, MapScores], pairs: int) -> list[str]:
    notes = []
    if left_out := set(main.plain) - set(main.plain_everywhere):
        notes.append(f"No control {listed(sorted(left_out))}: the layers chosen in some splits have different widths.")
    if pairs > 1 and max(len(s.test) for s in work.holdout.splits) > LAYER_GALLERY:
        notes.append(f"Pairs of layers were scored on the first {LAYER_GALLERY} held-out items of each split.")
    if work.task.labels is not None and not any("probe" in s.scores for s in scores.values()):
        notes.append("No probe: the held-out items are of classes that it could not have seen.")
    return notes


def _map_scores(
    map: Map, comparisons: Sequence[Comparison], found: Sequence[Stitched], bootstrap: Bootstrap
) -> MapScores:
    main, spec = found[0], map.spec
    own = main.scores(spec)
    controls: dict[str, list[Scores]] = {PERMUTED: main.permuted_mean(spec)} if main.permuted[spec][0] else {}
    controls |= {name: scores for name, scores in main.plain_everywhere.items() if name != map.name}
    controls |= _of_role(BASELINE, comparisons, found, spec)
    ceilings = {SELF: main.self_stitch[spec]} | _of_role(CEILING, comparisons, found, spec)
    other_target = {c.label for c in comparisons if not c.same_target}
    return MapScores(
        map=spec,
        variant=map.variant,
        direct=map.direct,
        scores=summaries(own, bootstrap),
        controls={k: summaries(v, bootstrap) for k, v in sorted(controls.items())},
        ceilings={k: summaries(v, bootstrap) for k, v in sorted(ceilings.items())},
        margins=margins(
            own,
            controls,
            bootstrap,
            descending=DESCENDING,
            comparable=lambda name, control: name != NATIVE and not (control in other_target and name in TARGETED),
        ),
        p_value=refit_p(own, main.permuted[spec], shared_names(own) - {NATIVE}, DESCENDING),
        spellings=map.spellings,
    )


def _of_role(
    role: str, comparisons: Sequence[Comparison], found: Sequence[Stitched], spec: str
) -> dict[str, list[Scores]]:
    return {c.label: s.scores(spec) for c, s in zip(comparisons, found, strict=True) if c.role == role}
