"""Barcodes of filtrations."""
