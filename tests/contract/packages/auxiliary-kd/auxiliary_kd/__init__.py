"""A wider copy of the student learns from the teacher first, and then teaches layer by layer."""
