"""The recipes: one for each system, with the constants of its paper."""
