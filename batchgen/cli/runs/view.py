"""`batchgen view`."""

import os
import sys
from pathlib import Path

import click


@click.command("view")
@click.argument("run")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The port; 0 takes any free one. Default: 8019 where it is free."
)
@click.option("--host", metavar="ADDR", default="127.0.0.1", help="Where to listen. Default: this machine alone.")
@click.option("--no-browser", is_flag=True, help="Open no browser.")
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
def command(run: str, *, port: int | None, host: str, no_browser: bool, output: str | None) -> int:
    """Show a run live in a browser, and pick outputs there.

    RUN names a run: its folder, its manifest, or its name within the output folder. The first line on standard output
    is the address; its token lets nobody else in. What is picked goes to picks.jsonl, as with `batchgen picks`.
    Everything else is only read, and may go on meanwhile. Ctrl-C stops it, with exit 0.
    """
    import asyncio

    from batchgen.cli.process import loop_factory
    from batchgen.core.descriptors import raise_limit
    from batchgen.manifest import read_name
    from batchgen.session.locate import find_run

    folder = find_run(run, output, os.environ, read_name)
    raise_limit()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(folder, host, port, browser=not no_browser and _has_browser()))
    return 0


async def _serve(folder: Path, host: str, port: int | None, *, browser: bool) -> None:
    import asyncio

    from batchgen.cli.process import stopping_signals
    from batchgen.core.text import printable
    from batchgen.viewer import Viewer, is_loopback

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in stopping_signals():
        loop.add_signal_handler(number, stop.set)
    async with Viewer(folder, host=host, port=port) as viewer:
        click.echo(viewer.address)
        sys.stdout.flush()
        if not is_loopback(host):
            click.echo(_WARNING, err=True)
        click.echo(f"showing {printable(folder.name)}; Ctrl-C stops it", err=True)
        if browser:
            import webbrowser

            await asyncio.to_thread(webbrowser.open, viewer.address_for_once())
        await stop.wait()


_WARNING = (
    "warning: other machines can reach this viewer. Whoever has its address, token and all, sees the run and can pick;"
    " the connection is not encrypted, so whoever is on the network can read it along. Safer: leave --host out, and"
    " use `ssh -L 8019:127.0.0.1:8019 MACHINE`."
)


def _has_browser() -> bool:
    """Return whether somebody sits here who could see a browser's window."""
    display = sys.platform == "darwin" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
    return display and sys.stderr.isatty()
