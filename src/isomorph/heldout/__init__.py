"""Held-out work, whatever was fitted: scores on items that no fit saw, controls, intervals, curves.

A verb says what is fitted by a `Trial` of each split: a function that fits the inputs of some rows to the targets of
others and scores the held-out ones, item by item. Maps between two spaces are such trials, and heads over any number of
spaces, with a space or labels as the target. Everything else follows from the scores:

- `holdout`: the splits, which respect labels and groups, the trials, and the re-pairings of the rows to fit on;
- `scores`, `retrieval`, `readout`: what a prediction scores on each held-out item;
- `bootstrap`: intervals over splits and items, of scores and of paired differences;
- `evidence`: summaries, margins over controls, p-values from refits to permuted pairs;
- `curves`: scores against the number of items that were fitted on.
"""
