"""Several processes that train one student: who takes part, what they share, and norms that see all of it."""
