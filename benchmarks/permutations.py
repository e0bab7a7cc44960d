"""A thousand shared permutations of all 13 × 25 layer pairs, and the p of the maximum, cost some tens of scores.

n = 1024, d = 768 × 1024, float32. All thousand permutations of each of five metrics are run and timed, from prepared
layers to the p of the maximum; the scores are timed with preparing every layer, medians of five.
"""

from __future__ import annotations

import argparse

from _measure import Claims, N, in_turn, seconds, shared_orders, two_models

from isomorph.metrics import metric
from isomorph.significance import maximum_p, sampled_null

METRICS = ("cka(estimator='unbiased')", "cka(estimator='biased')", "mutual_knn(k=10)", "jaccard_knn(k=10)", "rsa")


def main() -> None:
    """Measure the claims and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--permutations", type=int, default=1000)
    options = parser.parse_args()
    xs, ys = two_models()
    orders = shared_orders(options.permutations)
    claims = Claims(f"13 × 25 layers, n = {N}, d = 768 × 1024, float32; {len(orders)} permutations")
    prepared, programs = {}, {}
    for spec in METRICS:
        m = metric(spec)

        def scored(m=m, spec=spec) -> None:
            states = [m.prepare(x) for x in xs], [m.prepare(y) for y in ys]
            prepared[spec] = (m, *states, m.compare(*states))

        programs[spec] = scored
    score = in_turn(programs, options.rounds)
    null = {}
    for spec, (m, a, b, values) in prepared.items():
        null[spec] = seconds(lambda m=m, a=a, b=b, v=values: maximum_p(v, sampled_null(m, a, b, orders)))
    for spec in METRICS:
        claims.say(
            f"{spec:<28} score {score[spec]:6.3f} s, permutations {null[spec]:7.2f} s, "
            f"{null[spec] / score[spec]:6.1f} scores"
        )
    claims.at_most("permutations of all five over all five scores", sum(null.values()) / sum(score.values()), 60)
    claims.end()


if __name__ == "__main__":
    main()
