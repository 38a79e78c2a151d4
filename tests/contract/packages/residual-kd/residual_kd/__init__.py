"""A student and the assistant that learns what the student gets wrong; both are deployed."""
