"""The command line: one file a command, each loaded only when it is called."""

from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

from batchgen.cli.helping import examples_of
from batchgen.cli.output import color_option
from batchgen.core.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# The first lines of the commands' help are repeated here, so that `--help` imports none of them.
COMMANDS = {
    "init": "Write a commented starter manifest to PATH (default manifest.yaml); nothing is overwritten.",
    "models": "Show every model with its price, or one MODEL with all its parameters.",
    "validate": "Check manifests, offline.",
    "plan": "Show what a run would buy and what it would cost.",
    "diff": "Compare two manifests, offline: items added, gone and changed, and what both cost.",
    "lock": "Write down what a manifest makes and what it costs, as MANIFEST.lock.json.",
    "run": "Buy what is missing, download it, and write the ledger.",
    "collect": "Poll and download what is paid for; buy nothing.",
    "recover": "Rebuild a lost or damaged journal from receipts.jsonl, the manifest and the files.",
    "merge": "Make one run folder of several, such as the shards of a manifest.",
    "status": "Show the state of a run, even while it is running.",
    "resolve": "Settle items in doubt.",
    "picks": "Show which outputs were kept and rejected, or choose them.",
    "redo": "Write a manifest that buys rejected or flagged items once more, with new seeds.",
    "export": "Hand over the files of a run with their metadata, in a folder of their own.",
    "ledger": "Report the costs of runs or ledger files.",
    "report": "Write the report of a run: a page with a gallery, costs, failures and charts.",
    "view": "Show a run live in a browser, and pick outputs there.",
    "verify": "Check the files of a run against its journal: present, length, SHA-256, container.",
    "check": "Judge delivered files by `expect` and by what was ordered, and list those with flags.",
    "simulate": "Simulate the API on this machine, with pretend money and real files, until interrupted.",
    "schema": "Write the JSON Schemas for manifests and for every model's requests.",
    "catalog": "Compare the parameter tables with the provider's published reference, or import it.",
    "completion": "Print the shell completion for bash, zsh or fish.",
}
_ON_MANIFESTS = {"catalog", "completion", "diff", "init", "lock", "models", "plan", "schema", "validate"}
"""The others are about runs, and lie beside each other."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        room = "manifests" if cmd_name in _ON_MANIFESTS else "runs"
        command: click.Command = import_module(f"batchgen.cli.{room}.{cmd_name}").command
        _complete(cmd_name, command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete the names of commands without loading them."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            self._unknown(ctx, args[0])
        return super().resolve_command(ctx, args)

    def _unknown(self, ctx: click.Context, name: str) -> NoReturn:
        import difflib

        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"the commands are: {', '.join(COMMANDS)}"
        ctx.fail(f"there is no command {name!r}; {hint}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _complete(name: str, command: click.Command) -> None:
    """Give a command, or each command of a group, what all of them have: the option `--color`, and examples."""
    if isinstance(command, click.Group):
        for below in command.commands.values():
            _complete(f"{name} {below.name}", below)
    elif color_option not in command.params:
        command.params.append(color_option)
        command.epilog = examples_of(name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="batchgen")
def commands() -> None:
    """Run YAML manifests of paid image and video jobs against the Api18 API, and never pay for a job twice.

    Try it without a key or money: `batchgen init`, then `batchgen run manifest.yaml --simulate`.
    """
