"""`batchgen simulate`: simulate the API."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.options import catalog_option

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Event

    from batchgen.catalog import Catalog
    from batchgen.simulator import SimulatorSettings

_FILE = click.Path(dir_okay=False, path_type=Path)


def _money(_: click.Context, __: click.Parameter, value: str) -> Decimal:
    # As text, so that money never passes through a float.
    digits = value.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit()):
        raise click.BadParameter(f"{value!r} must be an amount in USD, 0 or more")
    return Decimal(value)


_PORT = click.IntRange(0, 65535)


@click.command("simulate", context_settings={"show_default": True})
@click.option("--port", type=_PORT, default=8018, help="The API's port; 0 takes any free port.")
@click.option("--files-port", type=_PORT, default=0, help="The file storage's port; 0 takes any free port.")
@click.option("--seed", type=int, default=0, help="Determines every duration, failure and fault.")
@click.option("--speed", type=float, default=10.0, help="How many times faster than the provider.")
@click.option("--balance", callback=_money, default="1000", metavar="USD", help="Paid credit of each account.")
@click.option("--promo", callback=_money, default="0", metavar="USD", help="Promotional credit of each account.")
@click.option("--state", type=_FILE, help="SQLite file that keeps accounts and jobs across restarts.")
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME=RATE", help="A fault and how often it happens; repeatable."
)
@click.option("--list-faults", is_flag=True, help="List the faults and exit.")
@click.option("--capacity", type=click.IntRange(min=1), help="Jobs processed at the same time; the others queue.")
@click.option("--retention-days", type=float, default=7.0, help="How long jobs and files are kept.")
@click.option("--wait-budget", type=float, default=60.0, help="How long ?wait=true waits, in the provider's seconds.")
@click.option("--key", "keys", multiple=True, help="A key to accept; repeatable. Default: every well-formed key.")
@click.option("--media", type=click.Choice(["full", "tiny"]), default="full", help="Draw every output, or one for all.")
@catalog_option
@click.option("--unmarked", is_flag=True, help="Pretend to be the real API: runs count the money as real.")
@click.option("--quiet", is_flag=True, help="Print no instructions on stderr.")
@click.option("--until-stdin-closes", is_flag=True, help="Stop when standard input ends.")
def command(
    *,
    list_faults: bool,
    faults: tuple[str, ...],
    keys: tuple[str, ...],
    quiet: bool,
    until_stdin_closes: bool,
    catalog: Path | None,
    **given: Any,
) -> int:
    """Simulate the API on this machine, with pretend money and real files, until interrupted.

    The first line on standard output is the API's address.
    """
    from batchgen.catalog import load_catalog
    from batchgen.cli.process import loop_factory
    from batchgen.core.descriptors import raise_limit
    from batchgen.simulator import SimulatorSettings
    from batchgen.simulator.fault_rates import FAULTS, parse_faults

    if list_faults:
        width = max(map(len, FAULTS))
        for name, meaning in FAULTS.items():
            click.echo(f"{name:<{width}}  {meaning}")
        return 0
    tables = load_catalog(catalog)
    settings = SimulatorSettings(faults=parse_faults(faults), keys=frozenset(keys), **given)
    import asyncio

    raise_limit()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(settings, tables, quiet=quiet, until_stdin_closes=until_stdin_closes))
    return 0


async def _serve(settings: "SimulatorSettings", catalog: "Catalog", *, quiet: bool, until_stdin_closes: bool) -> None:
    import asyncio

    from batchgen.cli.process import stopping_signals
    from batchgen.simulator import Simulator

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in stopping_signals():
        loop.add_signal_handler(number, stop.set)
    async with Simulator(settings, catalog) as simulator:
        click.echo(simulator.url)
        if not quiet:
            click.echo(_help(simulator.url, simulator.files_url, settings), err=True)
        if until_stdin_closes:
            _watch_stdin(loop, stop)
        await stop.wait()


def _help(url: str, files_url: str, settings: "SimulatorSettings") -> str:
    key = min(settings.keys, default="api18_0123456789abcdef")
    books = (
        f"kept in {settings.state}"
        if settings.state is not None
        else "discarded when it stops (--state FILE keeps them)"
    )
    return (
        f"Files are served from {files_url}. Prices are real, the money is pretend; accounts and jobs are {books}.\n"
        "To run a manifest against it, in another terminal:\n"
        f"  export API18_KEY={key}\n"
        f"  batchgen run MANIFEST --base-url {url}\n"
        f"Accounts: {url}/_simulator/account  Jobs: {url}/_simulator/jobs\n"
        "Ctrl-C stops it."
    )


def _watch_stdin(loop: "AbstractEventLoop", stop: "Event") -> None:
    """Set `stop` when standard input ends, whatever kind of file it is."""
    import os
    import threading

    def read_to_end() -> None:
        # Not through sys.stdin, whose lock a thread must not hold while the interpreter ends.
        while os.read(0, 65536):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=read_to_end, name="stdin", daemon=True).start()
