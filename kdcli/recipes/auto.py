"""What is said of ``auto``, the word in place of a recipe that chooses one; ``kdcli.choosing`` does it."""

from __future__ import annotations

NAME = "auto"
ABOUT = "the default: one of the others, by what you give (kdcli recipes show auto)"
BEGIN = "auto is no file: it is one of the other recipes, chosen by what you give of teacher and images."
CHOICES = (
    ("nothing, or simulated images (sim:...)", "data-free, with the bundled teacher"),
    ("a teacher, no images", "data-free at that teacher's scale: its size, a simulated world of its domain, its range"),
    ("a teacher, images without object ids", "own-images: distillation on these images"),
    ("a teacher, images with object ids", "data-free on these images: their objects are mixed"),
    ("images with depth, no teacher", "supervised: training on that depth"),
)
"""What is given -> what it is then."""
END = (
    'Sizes, steps, evaluation and the like follow from the teacher and the images where the recipe says "auto"; every '
    "option of yours wins. A mixer of the recipe that needs what the images lack is left out; one that you name is "
    "not. What was chosen, and why, is one line at the beginning and in the run's manifest; --dry-run shows all of it."
)


def text() -> str:
    """Return all of it, for programs."""
    return "\n".join([BEGIN, *(f"{given}: {found}" for given, found in CHOICES), END])
