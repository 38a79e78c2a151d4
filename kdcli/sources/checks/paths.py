"""What can be said of the files of a source from their paths, lengths and hashes, without decoding any."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from kdcli.files import is_lfs_pointer, sha256_of
from kdcli.sources.pairs import Pair
from kdcli.text import agreeing
from kdcli.types import Finding

LISTED = 10
"""Findings of one sort that are listed one by one."""

_POINTER_BYTES = 1024
_HASHED = 512
"""Most files that are hashed to find duplicates; only those of equal length need it."""


def about_paths(pairs: Sequence[Pair]) -> list[Finding]:
    """Return what can be said without decoding: missing files, pointers, empty files, duplicates."""
    sorts: dict[str, list[tuple[Path, str, str]]] = defaultdict(list)
    lengths: dict[int, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(
        path for pair in pairs for path in pair.files
    ):
        try:
            length = path.stat().st_size
        except OSError:
            sorts["missing"].append((path, "does not exist", "complete the download or take it off the list"))
            continue
        if length == 0:
            sorts["empty"].append((path, "is empty (0 bytes)", "re-download it or leave it out"))
        elif length < _POINTER_BYTES and is_lfs_pointer(path):
            sorts["pointer"].append((path, "is a Git LFS pointer, not the file itself", "run 'git lfs pull'"))
    findings = []
    for found in sorts.values():
        for path, what, remedy in found[:LISTED]:
            findings.append(Finding(level="error", message=f"'{path}' {what}; {remedy}", path=str(path)))
        if len(found) > LISTED:
            more = f"{len(found) - LISTED} more files like '{found[LISTED][0]}': it {found[LISTED][1]}"
            findings.append(Finding(level="error", message=more, path=str(found[LISTED][0])))
    bad = {path for found in sorts.values() for path, _, _ in found}
    for image in dict.fromkeys(pair.image for pair in pairs):
        if isinstance(image, Path) and image not in bad:  # not what lies in an archive with others
            lengths[image.stat().st_size].append(image)
    return findings + _duplicates(pairs, lengths)


def _duplicates(pairs: Sequence[Pair], lengths: dict[int, list[Path]]) -> list[Finding]:
    """Return images that come twice: as the same line of a list, or as files of the same content."""
    twice = [path for path, times in Counter(pair.image for pair in pairs).items() if times > 1]
    groups: dict[str, list[Path]] = defaultdict(list)
    doubtful = [path for paths in lengths.values() if len(paths) > 1 for path in paths]
    for path in doubtful[:_HASHED]:
        groups[sha256_of(path)].append(path)
    same = [paths for paths in groups.values() if len(paths) > 1]
    findings = []
    if twice:
        message = agreeing(len(twice), f"images are named more than once, such as '{twice[0]}', and count as often")
        findings.append(Finding(level="warning", message=message, path=str(twice[0])))
    if same:
        extra = sum(len(paths) - 1 for paths in same)
        copies = f"images are the same as others, such as '{same[0][1]}' of '{same[0][0]}'; remove the copies"
        message = agreeing(extra, copies)
        findings.append(Finding(level="warning", message=message, path=str(same[0][1])))
    return findings
