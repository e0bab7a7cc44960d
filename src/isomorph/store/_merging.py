"""Parts of a folder merged into the form of one writer."""

from __future__ import annotations

from ._entry import Entry
from ._parts import drop_commits, part_rows, sweep
from ._writer import EntryWriter


def merge_parts(entry: Entry) -> int:
    """Commit the rows of an entry's parts to its files, and then delete the parts.

    Returns:
        How many were merged.

    Raises:
        StoreError: if a part is damaged, the disk is full, or the entry lies in an object store.
    """
    entry.path  # noqa: B018  # an object store has no files of this form, and says so
    if not entry.contents.commits:
        return 0
    with EntryWriter(entry) as writer:
        found = writer.contents  # read under the lock, so that no other process merges
        layers = found.layers or ()
        widths = {x.name: x.width for x in layers}
        if found.fresh and found.journal.layers is None:
            writer.begin(widths, found.facts)
        elif found.fresh:
            known = len(found.journal.facts.get("resumed_with", []))
            for versions in found.facts.get("resumed_with", [])[known:]:
                writer.begin(widths, {"versions": versions})
        for commit, fresh in found.fresh:
            blocks = [next(iter(part_rows(entry.place, [commit], i, entry.dtype))) for i in range(len(layers))]
            rows = {layer.name: block[fresh] for layer, block in zip(layers, blocks, strict=True)}
            writer.put([commit.batch.positions[i] for i in fresh], rows, {})
        skipped = {p: why for p, why in found.skipped.items() if p not in found.journal.skipped}
        if skipped:
            writer.put([], {}, skipped)
        writer.commit()
        drop_commits(entry.place, [commit.name for commit in found.commits])
        sweep(entry.place, ())
    return sum(bool(commit.part) for commit in found.commits)
