"""The one-dimensional R-Cross-Barcodes of two distance matrices over the same items, exactly.

The R-Cross-Barcode of `w` against `other` is the persistent homology of the cloud of the smaller distances
``m = min(w, other)`` in which the cloud of `w` is filled: its Vietoris-Rips complex together with a cone over that of
`w`, whose edges to the tip exist from the start. Hence every edge between items closes a cycle through the tip when it
appears, at m, and only two kinds of triangles relate them: those of three items, at the latest of their three m, and
those of two items with the tip, at w. The bars follow from one pass over the edges in the order of m:

- An edge that a common earlier neighbour of its ends (its *witness*) meets is the sum of its two earlier edges, and
  opens nothing. In a random cloud all but about n^1.5 edges are of this kind, and what is open dies early, so that
  few triangles need to be looked at.
- Any other edge opens a class. Every further triangle is a relation among classes over F2, and one that does not follow
  from earlier ones closes the youngest class in it, which is one bar.

Which relations follow from earlier ones is read off 63-bit fingerprints of the edges, linear in the classes: one that
does not is passed over with probability 2^-63. Classes that merely say which parts of `w` are still apart sit on the
items and not on the edges (*potentials*), so that a far item leaves nothing to do but to wait for its nearest one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import xor
from typing import Any, NamedTuple

import numpy as np

from ...._core.memory import block_bytes

Matrix = np.ndarray[Any, Any]

STEP = 1 << 27  # bytes that the triangles of one step may take
TRIANGLE = 64  # bytes of one, with what is computed of it
GROWTH = 4  # a step adds at most this fraction of what there is
SEED = 20221  # of the fingerprints: the same bars every time


def cross_barcodes(w: Matrix, other: Matrix) -> tuple[Matrix, Matrix]:
    """Bars (birth, death) of the one-dimensional R-Cross-Barcode of `w` against `other`, and of `other` against `w`.

    Bars of length 0 are left out. Both matrices are of shape ``(n, n)``, symmetric but for rounding, and zero on the
    diagonal.
    """
    edges = Edges(np.minimum(w, other))
    cones = Cone(edges, w), Cone(edges, other)
    done, step = 0, edges.n
    while True:
        waiting = not any(cone.roots for cone in cones)
        start = edges.first_open(done) if waiting else done  # edges that only add zeros are passed over
        if start == len(edges):
            break
        step = edges.n // 8 + 1 if start > done else min(2 * step, edges.step(start))
        for cone in cones:
            cone.wait(edges.length[start])
        triangles = edges.triangles(start, min(start + step, len(edges)))
        for cone in cones:
            cone.advance(triangles)
        done = triangles.stop
    for cone in cones:
        cone.wait(np.inf)
    return cones[0].bars(), cones[1].bars()


class Triangles(NamedTuple):
    """Triangles of three items whose latest edge is among those from `start` to `stop`; edges are numbers."""

    start: int
    stop: int
    latest: Matrix  # the latest edge of each triangle, ascending
    sides: Matrix  # (2, number): its two other edges
    first: Matrix  # one triangle for each edge that is the latest of any


class Edges:
    """Pairs of items, numbered in the order of their distance."""

    def __init__(self, m: Matrix) -> None:
        n = self.n = len(m)
        i, j = np.triu_indices(n, 1)
        order = np.argsort(m[i, j])
        self.i, self.j = i[order], j[order]
        self.length = np.append(m[self.i, self.j], np.inf)
        self.number = np.full((n, n), len(order), dtype=np.int32)
        self.number[self.i, self.j] = self.number[self.j, self.i] = np.arange(len(order))
        self._near, self._joined = np.zeros((n, n), dtype=bool), 0
        self._open = np.arange(len(order))  # edges not known to have a common neighbour

    def __len__(self) -> int:
        return len(self.i)

    def step(self, start: int) -> int:
        """How many edges from `start` on one step should add, so that fingerprints stay fresh and memory is kept."""
        return min(max(self.n, start // GROWTH), max(1, block_bytes(STEP) // (4 * self.n)))

    def first_open(self, start: int) -> int:
        """The first edge from `start` on whose ends have no common neighbour by edges before `start`."""
        near, begin = self._nearer_than(start), int(np.searchsorted(self._open, start))
        for first in range(begin, min(len(self._open), begin + 32 * self.n), self.n):
            some = self._open[first : first + self.n]
            still = ~(near[self.i[some]] & near[self.j[some]]).any(axis=1)
            if still.any():
                self._open = self._open[first + int(np.argmax(still)) :]
                return int(self._open[0])
        shared = near.astype(np.float32)  # after that many, all at once
        shared, self._open = shared @ shared, self._open[begin + 32 * self.n :]
        self._open = self._open[shared[self.i[self._open], self.j[self._open]] == 0]
        return int(self._open[0]) if len(self._open) else len(self)

    def _nearer_than(self, edge: int) -> Matrix:
        """Which items are joined by edges before one."""
        change = slice(*sorted((self._joined, edge)))
        i, j = self.i[change], self.j[change]
        self._near[i, j] = self._near[j, i] = edge > self._joined
        self._joined = edge
        return self._near

    def triangles(self, start: int, stop: int) -> Triangles:
        """All triangles whose latest edge is among those from `start` to `stop`, or fewer as memory allows."""
        i, j, near = self.i[start:stop], self.j[start:stop], self._nearer_than(stop)
        common = near[i] & near[j]
        each = np.count_nonzero(common, axis=1)
        fit = max(1, int(np.searchsorted(np.cumsum(each), block_bytes(STEP) // TRIANGLE)))
        i, j, common, each, places = i[:fit], j[:fit], common[:fit], each[:fit], np.arange(min(fit, stop - start))
        k = np.flatnonzero(common) - np.repeat(places * self.n, each)
        sides = np.stack([self.number.ravel()[np.repeat(end * self.n, each) + k] for end in (i, j)])
        row, earlier = np.repeat(places, each), np.maximum(sides[0], sides[1])
        real = np.flatnonzero(earlier < start + row)
        row, sides, earlier = row[real], sides[:, real], earlier[real]
        begins = np.flatnonzero(np.diff(row, prepend=-1))
        if len(row):  # of all triangles of an edge the earliest, so that few edges of a step rest on one another
            best = np.minimum.reduceat((earlier.astype(np.int64) << 32) + np.arange(len(row)), begins)
            begins = best & 0xFFFFFFFF
        return Triangles(start, start + len(places), start + row, sides, begins)


class Classes:
    """A vector space over F2 modulo relations: its elements are integers, bit c of which stands for class c."""

    def __init__(self) -> None:
        self.births: list[float] = []
        self.deaths: list[float] = []
        self.relations: list[int] = []  # the relation that closed a class, 0 while it is open
        self.prints: list[int] = []
        self.changed: int | None = None  # the first class whose fingerprint is out of date
        self._rng = np.random.default_rng(SEED)

    def open(self, birth: float) -> int:
        """A new class."""
        self.births.append(birth)
        self.deaths.append(np.inf)
        self.relations.append(0)
        self.prints.append(int(self._rng.integers(1, 1 << 63)))
        return 1 << (len(self.births) - 1)

    def impose(self, element: int, time: float) -> None:
        """Make an element zero, which closes the youngest class in it unless it is zero already."""
        relations = self.relations
        while element:
            youngest = element.bit_length() - 1
            if not relations[youngest]:
                relations[youngest], self.deaths[youngest] = element, time
                self.changed = youngest if self.changed is None else min(youngest, self.changed)
                return
            element ^= relations[youngest]

    def reduced(self, element: int) -> int:
        """The same element in terms of open classes."""
        relations, out = self.relations, 0
        while element:
            youngest = element.bit_length() - 1
            relation = relations[youngest] or 1 << youngest
            out |= 0 if relations[youngest] else relation
            element ^= relation
        return out

    def fingerprint(self, element: int) -> int:
        """The fingerprint of an element: 0 of zero."""
        out = 0
        while element:
            youngest = element.bit_length() - 1
            out ^= self.prints[youngest]
            element ^= 1 << youngest
        return out

    def renew(self) -> bool:
        """Bring the fingerprints up to date with all relations; whether any was not."""
        if (first := self.changed) is None:
            return False
        for c in range(first, len(self.prints)):
            if relation := self.relations[c]:
                self.prints[c] = self.fingerprint(relation ^ (1 << c))
        self.changed = None
        return True


class Cone:
    """One direction: the cloud of the smaller distances with the cloud of `w` filled.

    The cycle of an edge (i, j) through the tip is ``loop(i, j) + potential(i) + potential(j)``.
    """

    def __init__(self, edges: Edges, w: Matrix) -> None:
        n = edges.n
        self.edges, self.classes = edges, Classes()
        self.fill = w[edges.i, edges.j]
        self.tree = spanning_tree(w)
        self.part = np.arange(n)  # which items hang together
        self.potentials, self.potential_prints = [0] * n, np.zeros(n, dtype=np.uint64)
        self.roots: dict[int, int] = {}  # loops that are not zero, of edges without a witness
        self.sums = np.zeros(0, dtype=np.intp)  # edges with one whose loop is not zero
        self.sources = np.zeros((2, len(edges)), dtype=np.int32)  # of which it is the sum
        self.prints = np.zeros(len(edges), dtype=np.uint64)  # of the loops
        self.time = -np.inf
        self._known: dict[int, int] = {}

    def advance(self, triangles: Triangles) -> None:
        """Add the edges from `triangles.start` to `triangles.stop`, and all that closes before the next one."""
        start, stop, latest, sides, first = triangles
        witnessed, lone = latest[first], np.ones(stop - start, dtype=bool)
        lone[witnessed - start] = False
        for e in (start + np.flatnonzero(lone)).tolist():
            self._add(e)
        self.sources[:, witnessed] = sides[:, first]
        self.sums = np.concatenate([self.sums, self._summed(witnessed)])
        until = float(self.edges.length[stop])
        if self.roots:
            for time, relation in sorted([*self._closed(triangles), *self._filled(stop, until)]):
                self.classes.impose(relation, time)
            self.time = until
            self._renew()
        else:
            self.wait(until)

    def wait(self, until: float) -> None:
        """Let time pass to `until` while all loops are zero: the parts of `w` merge along its spanning tree."""
        i, j, w = self.tree
        for e in range(*np.searchsorted(w, [self.time, until])):
            self.classes.impose(self.potentials[i[e]] ^ self.potentials[j[e]], float(w[e]))
        self.time = until
        self._renew()

    def bars(self) -> Matrix:
        """Births and deaths of all classes that lived for a time."""
        bars = np.array([self.classes.births, self.classes.deaths]).T
        return bars[bars[:, 1] > bars[:, 0]]

    def _add(self, e: int) -> None:
        """An edge without a witness: it joins two parts, or opens a loop."""
        i, j, birth = int(self.edges.i[e]), int(self.edges.j[e]), float(self.edges.length[e])
        across = self.potentials[i] ^ self.potentials[j]
        filled = self.fill[e] == birth  # at once, so that its cycle is zero
        if self.part[i] != self.part[j]:
            parts = [np.flatnonzero(self.part == self.part[end]) for end in (i, j)]
            smaller, larger = sorted(parts, key=len)
            shift = across if filled else across ^ self.classes.open(birth)
            for item in smaller.tolist():
                self.potentials[item] ^= shift
            self.potential_prints[smaller] ^= np.uint64(self.classes.fingerprint(shift))
            self.part[smaller] = self.part[larger[0]]
        elif loop := across if filled else self.classes.open(birth):
            self.roots[e] = loop
            self.prints[e] = self.classes.fingerprint(loop)

    def _summed(self, edges: Matrix) -> Matrix:
        """Bring the fingerprints of edges that are sums up to date; those that are not zero."""
        a, b = self.sources[:, edges]
        before = None
        while before is None or not np.array_equal(before, self.prints[edges]):  # once more for each that rests on one
            before = self.prints[edges]
            self.prints[edges] = self.prints[a] ^ self.prints[b]
        zero = np.equal(before, 0)
        return edges[~zero]

    def _closed(self, triangles: Triangles) -> Iterator[tuple[float, int]]:
        """When triangles of three items close something, and what."""
        latest, (a, b) = triangles.latest, triangles.sides
        for t in earliest(self.prints[latest] ^ self.prints[a] ^ self.prints[b]).tolist():
            loops = (self._loop(int(e)) for e in (latest[t], a[t], b[t]))
            yield float(self.edges.length[latest[t]]), reduce(xor, loops)

    def _filled(self, stop: int, until: float) -> Iterator[tuple[float, int]]:
        """When triangles with the tip over edges before `stop` close something, and what."""
        fill = self.fill[:stop]
        edges = np.flatnonzero((fill >= self.time) & (fill < until))
        edges = edges[np.argsort(fill[edges])]
        i, j = self.edges.i[edges], self.edges.j[edges]
        prints = self.prints[edges] ^ self.potential_prints[i] ^ self.potential_prints[j]
        for a in earliest(prints).tolist():
            yield float(fill[edges[a]]), self._loop(int(edges[a])) ^ self.potentials[i[a]] ^ self.potentials[j[a]]

    def _loop(self, edge: int) -> int:
        """The loop of an edge, as an element."""
        known, todo = self._known, [edge]
        while todo:
            e = todo[-1]
            if e in known or not self.prints[e] or e in self.roots:
                known.setdefault(e, self.roots.get(e, 0))
                todo.pop()
                continue
            a, b = self.sources[:, e].tolist()
            if a in known and b in known:
                known[e] = known[a] ^ known[b]
                todo.pop()
            else:
                todo += [a, b]
        return known[edge]

    def _renew(self) -> None:
        """Bring everything up to date with the relations so far."""
        classes = self.classes
        if not classes.renew():
            return
        reduced = {p: classes.reduced(p) for p in set(self.potentials)}
        prints = {p: classes.fingerprint(r) for p, r in reduced.items()}
        self.potential_prints[:] = [prints[p] for p in self.potentials]
        self.potentials = [reduced[p] for p in self.potentials]
        roots = {e: classes.reduced(loop) for e, loop in self.roots.items()}
        self.prints[list(roots)] = [classes.fingerprint(loop) for loop in roots.values()]
        self.roots = {e: loop for e, loop in roots.items() if loop}
        self.sums = self._summed(self.sums)
        self._known.clear()


def earliest(prints: Matrix) -> Matrix:
    """The first place of every fingerprint that is not zero: elements with one fingerprint are one."""
    some = np.flatnonzero(prints)
    return some[np.unique(prints[some], return_index=True)[1]]


def spanning_tree(w: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """The edges (i, j) of the minimum spanning tree and their lengths, in their order, by Prim's algorithm.

    SciPy's takes items at one place for items without an edge.
    """
    n = len(w)
    joined, nearest, parent = np.zeros(n, dtype=bool), np.full(n, np.inf), np.zeros(n, dtype=np.intp)
    ends, item = np.zeros((2, n - 1), dtype=np.intp), 0
    for step in range(n - 1):
        joined[item] = True
        nearest[item] = np.inf
        closer = (w[item] < nearest) & ~joined
        nearest[closer], parent[closer] = w[item, closer], item
        item = int(np.argmin(nearest))
        ends[:, step] = parent[item], item
    ends.sort(axis=0)  # lengths are read above the diagonal everywhere: rounding may make those below differ
    lengths = w[ends[0], ends[1]]
    order = np.argsort(lengths)
    return ends[0, order], ends[1, order], lengths[order]
