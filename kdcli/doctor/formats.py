"""Formats of exported files: whose packages are here, in the releases that were tried; and eight bits on this CPU."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version

from kdcli.devices import int8_instructions
from kdcli.doctor.finding import OK, WARNING, Finding
from kdcli.plugins import registry

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([A-Za-z0-9._]+)\s*;\s*extra\s*==\s*['\"]([a-z0-9-]+)['\"]$")


def each_format() -> Iterator[Finding]:
    """Say of each of kdcli's own formats whether what it needs is installed, and whether that is what was tried."""
    pins = tried()
    for plugin in registry.discover():
        if plugin.kind == "exporter" and plugin.built_in:
            yield _format(plugin.name, pins.get(plugin.name, {}))


def tried() -> dict[str, dict[str, str]]:
    """Return the releases that kdcli's extras name: package to version, by extra.

    Raises:
        PackageNotFoundError: kdcli is not installed, so that nothing says it.
    """
    found: dict[str, dict[str, str]] = {}
    for line in requires("kdcli") or []:
        if (pin := _PIN.match(line)) is not None:
            found.setdefault(pin[3], {})[pin[1]] = pin[2]
    return found


def _format(name: str, pins: Mapping[str, str]) -> Finding:
    if not pins:
        return Finding(name=f"format {name}", status=OK, value="comes with kdcli")
    here = {package: _installed(package) for package in pins}
    told = ", ".join(f"{package} {held or 'not installed'}" for package, held in here.items())
    install = f"pip install 'kdcli[{name}]'"
    if not all(here.values()):
        return Finding(name=f"format {name}", status=OK, value=told, hint=f"to write it: {install}")
    other = [f"{package} {pins[package]}" for package, held in here.items() if held != pins[package]]
    if other:
        return Finding(name=f"format {name}", status=WARNING, value=f"{told}; tried: {', '.join(other)}", hint=install)
    return Finding(name=f"format {name}", status=OK, value=f"{told}, as tried")


def _installed(package: str) -> str | None:
    """Return the release of a package, without what it was built for; None where it is not installed."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return None


def eight_bits() -> Iterator[Finding]:
    """Say whether this CPU multiplies bytes by instructions of their own: without, int8 files are only smaller."""
    known = int8_instructions()
    if known is None:
        yield Finding(name="int8", status=OK, value="unknown: this PyTorch does not tell what the CPU can do")
    elif known:
        yield Finding(name="int8", status=OK, value=f"the CPU has {', '.join(known)}: int8 files can be faster here")
    else:
        yield Finding(name="int8", status=OK,
                      value="the CPU has neither VNNI nor dot products: int8 files are smaller here, and not faster")
