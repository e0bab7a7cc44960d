"""Principal axes of a representation, and inner products on them."""
