"""Operators that carry a series from one time to the next, and how alike two of them are."""
