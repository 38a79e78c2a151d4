"""``kdcli demo``: a page on this machine that shows what models say of a picture."""

from __future__ import annotations

from typing import Annotated

import typer

from kdcli.cli.ui import Session, command
from kdcli.errors import ConfigError

Models = Annotated[list[str], typer.Argument(
    metavar="MODEL", help="Run folders, .safetensors students, exported files, teacher:SPEC.",
)]
Port = Annotated[int, typer.Option("--port", help="Port on 127.0.0.1; 0: one that is free.", min=0, max=65535)]
Size = Annotated[str | None, typer.Option(
    "--size", help="HxW that the models see, or native; else what each was made for.",
)]
Open = Annotated[bool | None, typer.Option(
    "--open/--no-open", help="Whether to open it in a browser; so it is where there is a desktop.", show_default=False,
)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "demo", seed=False, example="kdcli demo runs/small teacher:demo")(demo)


def demo(session: Session, models: Models, port: Port = 0, size: Size = None, open: Open = None) -> None:
    """Open a page on this machine: a picture, what models say of it side by side, and its points in space."""
    from kdcli.demo import Answers, Server
    from kdcli.models import load_model
    from kdcli.networks.shown_size import parse_shown

    chosen = parse_shown(size)
    if twice := next((one for one in models if models.count(one) > 1), None):
        raise ConfigError(f"'{twice}' is named twice; name each model once")
    networks = {name: load_model(name, session.device) for name in models}
    session.keeps(lambda: "the page is closed; nothing was written")
    with Server(Answers(networks, session.device, chosen), port) as server:
        names = ", ".join(models)
        session.result({"address": server.address, "models": models}, f"{server.address} shows {names}")
        session.note("only this machine can reach it; Ctrl-C ends it")
        if _desktop() if open is None else open:
            import webbrowser

            webbrowser.open(server.address)
        server.serve_forever(poll_interval=0.2)


def _desktop() -> bool:
    """Whether somebody sits before windows; elsewhere a browser of text would take the terminal."""
    import os
    import sys

    return sys.stderr.isatty() and (
        sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    )
