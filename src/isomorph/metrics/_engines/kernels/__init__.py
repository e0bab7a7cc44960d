"""Kernels of items: Gram matrices, held, streamed or as features."""
