"""Engines that several metrics share, a folder each."""
