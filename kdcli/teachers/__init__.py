"""Networks that teach."""
