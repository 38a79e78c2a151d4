"""Data sets as they are published or converted: one layout a file, each of which finds pairs and names an encoding."""
