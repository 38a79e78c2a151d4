"""The loop: one stage's updates, its optimiser and schedule, and the file from which it goes on."""
