"""Several names of inner features in one text: ``enc3|enc5``."""

from __future__ import annotations

from kdcli.errors import SpecError


def names(text: str, key: str) -> tuple[str, ...]:
    """Return the names of ``A|B``.

    Raises:
        SpecError: none, or an empty one.
    """
    found = tuple(part.strip() for part in text.split("|"))
    if not all(found):
        raise SpecError(f"{key}={text} names no features; write for example {key}=enc3|enc5")
    return found


def paired(student: str, teacher: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return as many names of the student's features as of the teacher's.

    Raises:
        SpecError: they cannot be paired.
    """
    mine, theirs = names(student, "student_taps"), names(teacher, "teacher_taps")
    if len(mine) != len(theirs):
        raise SpecError(
            f"{len(mine)} features of the student ({student}) against {len(theirs)} of the teacher ({teacher}); "
            "give as many of each"
        )
    return mine, theirs
