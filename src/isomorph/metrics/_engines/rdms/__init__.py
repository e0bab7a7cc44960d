"""Dissimilarities between items: vectors, files, cross-validated distances, component models."""
