"""The student is to react to its input as the teacher does."""
