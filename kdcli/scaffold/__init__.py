"""Begin a plugin: write an installable package with one plugin, which already conforms, and its test."""

from __future__ import annotations

import re
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from string import Template

from kdcli.drafts import whole_folder
from kdcli.errors import ConfigError
from kdcli.files import write_text
from kdcli.plugins import registry
from kdcli.text import line as plain
from kdcli.version import __version__

_TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What was written."""

    kind: str
    name: str
    distribution: str
    folder: Path
    files: tuple[Path, ...]


def new_package(kind: str, name: str, out: Path) -> Package:
    """Write the package ``kdcli-NAME`` into a new folder below ``out``; whole or not at all.

    Raises:
        ConfigError: a name that is none, that one of kdcli's own plugins has, or a folder that exists.
    """
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise ConfigError(f"'{plain(name, 80)}' is no plugin name; use up to {_LONGEST} small letters, digits and "
                          f"single hyphens, like my-{kind}")
    if any(p.built_in and p.kind == kind and p.name == name for p in registry.discover()):
        raise ConfigError(f"kdcli has a {kind} '{name}' of its own, which would win; choose another name")
    folder = folder_of(name, out)
    distribution = folder.name
    if folder.exists():
        raise ConfigError(f"'{folder}' exists; choose another name or --out, or remove it")
    values = {
        "name": name, "kind": kind, "group": registry.GROUPS[kind], "distribution": distribution,
        "module": distribution.replace("-", "_"), "title": _title(kind, name),
        "test": name.replace("-", "_"), "version": __version__,
    }
    try:
        with whole_folder(folder) as draft:
            for path, text in _files(kind, values).items():
                write_text(draft / path, text)
    except FileExistsError:
        raise ConfigError(f"'{folder}' exists; choose another name or --out, or remove it") from None
    written = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
    return Package(kind=kind, name=name, distribution=distribution, folder=folder, files=written)


def folder_of(name: str, out: Path) -> Path:
    """Return the folder of the package that holds a plugin of this name."""
    return out / (name if name.startswith("kdcli-") else f"kdcli-{name}")


def _title(kind: str, name: str) -> str:
    """Return the name of the class; not one that Python or the template itself uses for something else."""
    title = "".join(part.capitalize() for part in name.split("-"))
    template = _TEMPLATES / f"{kind}.py.tmpl"
    taken = set(re.findall(r"\w+", template.read_text(encoding="utf-8"))) if template.is_file() else set()
    return f"{title}{kind.capitalize()}" if iskeyword(title) or title in taken else title


def _files(kind: str, values: dict[str, str]) -> dict[str, str]:
    """Return the text of every file by its path in the package."""
    module, data = values["module"], kind in registry.DATA
    values = {
        **values,
        "value": f"{module}:{values['name']}.toml" if data else f"{module}.{kind}:{values['title']}",
        "body": f"{module}/{values['name']}.toml" if data else f"{module}/{kind}.py",
    }
    return {
        "pyproject.toml": _fill("pyproject.toml", values),
        "README.md": _fill("README.md", values),
        f"{module}/__init__.py": f'"""A {kind} for kdcli: {values["name"]}."""\n',
        values["body"]: _fill(f"{kind}.toml" if data else f"{kind}.py", values),
        f"tests/test_{values['test']}.py": _fill(f"test_{kind}.py" if data else "test.py", values),
    }


def _fill(template: str, values: dict[str, str]) -> str:
    return Template((_TEMPLATES / f"{template}.tmpl").read_text(encoding="utf-8")).substitute(values)
