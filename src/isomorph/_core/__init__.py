"""The ground floor: arrays, linear algebra, checks, registries, packages, progress, provenance, memory."""
