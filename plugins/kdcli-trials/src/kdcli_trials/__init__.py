"""What was tried on the way to ``data-free-plus`` and is no part of it."""
