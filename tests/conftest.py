"""Settings that every test shares."""

from __future__ import annotations

import os

from hypothesis import settings

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before NumPy and torch load: small problems are slower on more threads
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_ENABLE_X64", "1")

# no timing asserts, and the same examples each time
settings.register_profile("isomorph", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("isomorph")
