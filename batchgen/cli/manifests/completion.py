"""`batchgen completion`: what a shell needs to complete batchgen's command lines."""

import click

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(_SHELLS))
@click.pass_context
def command(context: click.Context, /, shell: str) -> None:
    """Print the shell completion for bash, zsh or fish.

    Commands, options, models, runs, manifests and files are completed. Add one of these lines to your shell's start-up
    file:

    \b
      eval "$(batchgen completion bash)"           # ~/.bashrc
      eval "$(batchgen completion zsh)"            # ~/.zshrc, after compinit
      batchgen completion fish | source            # ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    assert completion is not None  # noqa: S101 - for the type checker: click has all three
    root = context.find_root()
    click.echo(completion(root.command, {}, "batchgen", "_BATCHGEN_COMPLETE").source())
