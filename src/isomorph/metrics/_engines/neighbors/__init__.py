"""Graphs of nearest neighbours, exact and approximate, and what is counted on them."""
