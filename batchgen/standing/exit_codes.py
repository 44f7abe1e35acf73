"""The exit codes of every command, each with what happened and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExitCode:
    """One exit code, for the documentation. Scripts rely on the numbers: they never change."""

    code: int
    meaning: str
    cure: str
    """What to do; empty where there is nothing to do."""


EXIT_CODES = (
    ExitCode(0, "everything asked for is on disk", ""),
    ExitCode(
        1,
        "the run finished, but some items failed, were rejected, are lost, depend on one of those, or brought fewer"
        " outputs than ordered; or a check found a difference",
        "see `status`: it groups failures by cause, and names the command that buys them again, with its price",
    ),
    ExitCode(
        2,
        "wrong usage, a mistake in the manifest or a setting, or confirmation missing; no money was spent",
        "fix it, or confirm",
    ),
    ExitCode(
        3,
        "one of the run's own limits was reached, or only items are left that wait for a pick",
        "run the same command to continue; or choose with `picks` or `view`",
    ),
    ExitCode(4, "the run finished, but charges are in doubt", "settle them with `resolve`"),
    ExitCode(
        5,
        "the run was stopped by the key, the balance, the network, the disk, the lease of its shard, or too many items"
        " in doubt",
        "fix the cause, then run the same command to continue",
    ),
    ExitCode(
        6,
        "the run folder is in use, damaged, older than its ledger or files, or belongs to another API or account; or"
        " another process is the same shard, the run was divided otherwise, or a shard's records are gone; no money was"
        " spent",
        "the message says what to do",
    ),
    ExitCode(10, "`plan --detailed-exitcode` only: there is something to buy", ""),
    ExitCode(70, "a bug in batchgen; the message names the log file", "report it"),
    ExitCode(130, "Ctrl-C, SIGTERM, or a closed terminal (SIGHUP)", "run the same command to continue"),
)
