"""The help of single commands: options in groups where there are many, and examples at the end."""

from collections.abc import Iterator, Sequence

import click

# ---- groups ------------------------------------------------------------------------------------------------------

Groups = Sequence[tuple[str, frozenset[str]]]

RUN_GROUPS: Groups = (
    (
        "What is bought",
        frozenset({"only", "shard", "max_new", "retry", "again", "skip_bought", "renamed", "buy_again", "lost"}),
    ),
    (
        "Limits and confirmation",
        frozenset({"max_cost", "budget", "max_failures", "max_flagged", "canary", "locked", "strict", "yes"}),
    ),
    (
        "Time and pace",
        frozenset({"start_at", "until", "concurrency", "poll_min", "poll_max", "engine", "wait_for_balance"}),
    ),
    ("Where things are", frozenset({"output", "state", "name", "lease", "catalog"})),
    ("The API", frozenset({"simulate", "base_url", "api_key_file", "proxy", "rotated_key"})),
    ("Telling others", frozenset({"ping", "notify", "on_exit"})),
    (
        "Output",
        frozenset({"report", "with_items", "as_json", "detailed_exitcode", "quiet"}),
    ),
)
LEDGER_GROUPS: Groups = (
    ("The report", frozenset({"by", "since", "until", "tz", "only", "simulated", "form", "output"})),
    ("Beside the provider's bill", frozenset({"bill", "job_column", "amount_column", "settle"})),
    ("Other uses", frozenset({"check", "as_bought", "forget", "yes"})),
)


class _Grouped(click.Command):
    groups: Groups = ()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options below the titles of their groups, in the order in which they were declared."""
        for title, options in self._grouped(ctx):
            records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def _grouped(self, ctx: click.Context) -> Iterator[tuple[str, list[click.Parameter]]]:
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        for title, names in self.groups:
            yield title, [option for option in options if option.name in names]
        known = frozenset[str]().union(*(names for _, names in self.groups))
        yield "Other options", [option for option in options if option.name not in known]  # --color and --help


class RunOptions(_Grouped):
    """A command with the options of `run`, or some of them."""

    groups = RUN_GROUPS


class LedgerOptions(_Grouped):
    """The command `ledger`."""

    groups = LEDGER_GROUPS


# ---- examples ----------------------------------------------------------------------------------------------------

EXAMPLES: dict[str, Sequence[tuple[str, str]]] = {
    "init": [("batchgen init spring.yaml", "")],
    "models": [("batchgen models", "all of them"), ("batchgen models hera-1.0-text-to-image", "one, in detail")],
    "validate": [
        ("batchgen validate manifests/*.yaml", ""),
        ("batchgen validate spring.yaml --strict", "warnings count, too"),
        ("batchgen validate spring.yaml --format github", "in a workflow"),
    ],
    "plan": [
        ("batchgen plan spring.yaml", ""),
        ("batchgen plan spring.yaml --items", "each item as it is sent"),
        ("batchgen plan spring.yaml --retry failed", "the price of a repair"),
    ],
    "diff": [
        ("batchgen diff main:spring.yaml spring.yaml", "against a branch"),
        ("batchgen diff a.yaml b.yaml --fail-over 20", "exit 1 above $20 more"),
    ],
    "lock": [
        ("batchgen lock spring.yaml", ""),
        ("batchgen lock spring.yaml --check", "did anything drift?"),
        ("batchgen lock --check", "all that is locked"),
    ],
    "run": [
        ("batchgen run spring.yaml --simulate", "try it: no key, no money"),
        ("batchgen run spring.yaml --max-cost 50", "at most $50 in all"),
        ("batchgen run spring.yaml --until 07:00", "a night's share"),
        ("batchgen run spring.yaml --only 'tag:client=acme'", "some of the items"),
        ("batchgen run spring.yaml --retry failed", "failed items once more"),
    ],
    "collect": [("batchgen collect spring", ""), ("batchgen collect spring --lost", "ask for lost jobs, too")],
    "recover": [("batchgen recover output/spring spring.yaml", "")],
    "merge": [("batchgen merge spring.0-of-2 spring.1-of-2 --into spring", "")],
    "status": [("batchgen status spring", "by its name"), ("batchgen status output/spring --json", "by its folder")],
    "resolve": [
        ("batchgen resolve spring mug --job-id 1f2e3d4c5b6a", "the bill shows its job"),
        ("batchgen resolve spring mug --not-charged", "it does not"),
        ("batchgen resolve spring --export doubts.csv", "many: a list to fill in"),
        ("batchgen resolve spring --import doubts.csv", ""),
    ],
    "picks": [
        ("batchgen picks spring --keep mug@2 --reject mug@1", ""),
        ("batchgen picks spring --export picks.csv", "a list to fill in"),
        ("batchgen picks spring --import picks.csv", ""),
    ],
    "redo": [("batchgen redo spring --rejected > redo.yaml", "then: batchgen plan redo.yaml")],
    "export": [
        ("batchgen export spring handover --kept --zip", ""),
        ("batchgen export spring handover --costs --sidecars", ""),
    ],
    "ledger": [
        ("batchgen ledger spring", "by model"),
        ("batchgen ledger output/*/ledger.csv --by tag:client", "all runs, by client"),
        ("batchgen ledger spring --by month --format csv", ""),
        ("batchgen ledger spring --match bill.csv", "beside the bill"),
    ],
    "report": [("batchgen report spring", "")],
    "verify": [("batchgen verify spring", ""), ("batchgen verify spring --refetch", "download again; buys nothing")],
    "check": [("batchgen check spring", ""), ("batchgen check spring --json", "")],
    "view": [("batchgen view spring", "opens a browser"), ("batchgen view spring --no-browser", "prints the address")],
    "simulate": [
        ("batchgen simulate", ""),
        ("batchgen simulate --fault failed=0.05 --speed 100", "one in twenty fails"),
        ("batchgen simulate --list-faults", ""),
    ],
    "schema": [
        ("batchgen schema", ""),
        ("batchgen schema --check", "did anything change?"),
        ("batchgen schema --print > ~/batchgen.schema.json", "for an editor"),
    ],
    "catalog diff": [("batchgen catalog diff reference.txt", "")],
    "catalog import": [("batchgen catalog import reference.txt --output catalog", "")],
}


def examples_of(name: str) -> str | None:
    """Return the examples of a command as the end of its help; None if it has none."""
    examples = EXAMPLES.get(name)
    if not examples:
        return None
    width = max(len(line) for line, _ in examples)
    shown = [f"  {line:<{width}}   {why}".rstrip() for line, why in examples]
    return "\n".join(["\b", "Examples:", *shown])
