"""Held-out work: splits that respect groups, scores of items that no fit saw, controls, bootstrap."""
