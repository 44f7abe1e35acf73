"""A manifest as Python sees it: loaded from a file or from values, planned and run."""

import asyncio
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Unpack

from batchgen.catalog import load_catalog
from batchgen.core.credentials import ApiKey, checked_key, find_key
from batchgen.library.keywords import VARIABLES, PlanKeywords, RunKeywords, options_of
from batchgen.library.notifying import notifying, notifying_async
from batchgen.library.plans import ManifestPlan, plan_of
from batchgen.library.preparing import prepared_run
from batchgen.library.progress import bar, in_notebook
from batchgen.library.results import Results
from batchgen.library.runs import access_from, session_of
from batchgen.library.summaries import RunSummary, summary_of
from batchgen.manifest import load_manifest
from batchgen.session.connection.account import Access
from batchgen.session.host import Event, Host, StopHandle
from batchgen.session.locate import output_folder, remote_outputs
from batchgen.session.session import RunSession

Items = Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that was read and found to be in order. Its file is read again by each call."""

    path: Path
    name: str
    _scratch: "_Scratch | None" = field(default=None, repr=False, compare=False)
    """Keeps the file of a manifest that was made from values."""
    _catalog: Path | None = field(default=None, repr=False)
    """The parameter tables that it was loaded with; None: those that BATCHGEN_CATALOG names, or the shipped ones."""

    def plan(self, **keywords: Unpack[PlanKeywords]) -> ManifestPlan:
        """Return what a run with these options would buy; nothing is sent or written.

        Raises ManifestError, UsageError, RunFolderError.
        """
        options = self._options(keywords, planning=True)
        with prepared_run(self.path, options) as prepared:
            return plan_of(prepared, options, self._scratch)

    def run(
        self, *, stop: StopHandle | None = None, progress: bool | None = None, **keywords: Unpack[RunKeywords]
    ) -> RunSummary:
        """Buy what is missing, download it, and return what it came to; a second call buys nothing twice.

        In any thread, and inside a running event loop too, which then stands still meanwhile (`arun` does not let it).
        `stop` ends it from elsewhere as Ctrl-C ends the command; `progress` draws a bar, by default in notebooks.

        Raises ConsentNeeded where the command would ask: give `yes=True`, `renamed=`, `buy_again=True`, or a cap
        (`max_cost`, `budget`). Raises ManifestError, UsageError, OutsideError, RunFolderError as the command's exit
        codes 2, 5 and 6 say. Items that failed are no exception: see the summary.
        """
        options = self._options(keywords)
        with notifying(options, self.path) as notifier, prepared_run(self.path, options) as prepared:
            notifier.prepared(prepared)
            host = notifier.around(_host(stop, progress=progress))
            summary = session_of(prepared, options, self._access(options), host).run()
            notifier.ended(summary)
            return summary_of(summary)

    async def arun(
        self, *, stop: StopHandle | None = None, progress: bool | None = None, **keywords: Unpack[RunKeywords]
    ) -> RunSummary:
        """As `run`, in a thread of its own. A cancellation stops the run, and is raised once all is recorded."""
        return await self._arun(self._options(keywords), _host(stop, progress=progress))

    def results(
        self, *, stop: StopHandle | None = None, progress: bool | None = None, **keywords: Unpack[RunKeywords]
    ) -> Results:
        """Return the results of a run as an asynchronous iterator over the items as they end.

        To leave it early, use it in an `async with`: that stops the run as an interrupt does.
        """
        options, handle = self._options(keywords), stop or StopHandle()

        def start(listen: Callable[[Event], None]) -> Awaitable[RunSummary]:
            return self._arun(options, _host(handle, listen, progress=progress))

        return Results(start, handle)

    async def _arun(self, options: dict[str, Any], host: Host) -> RunSummary:
        async with notifying_async(options, self.path) as notifier:
            with ExitStack() as stack:
                prepared = await asyncio.to_thread(stack.enter_context, prepared_run(self.path, options))
                notifier.prepared(prepared)
                session: RunSession = session_of(prepared, options, self._access(options), notifier.around(host))
                summary = await session.run_async()
            notifier.ended(summary)
        return summary_of(summary)

    def _options(self, keywords: Mapping[str, Any], *, planning: bool = False) -> dict[str, Any]:
        options = options_of(keywords, planning=planning)
        if self._scratch is not None:
            # The file of such a manifest is nowhere: its output is found as if it lay in the working directory.
            folder = output_folder(None, options["output"], os.environ, options["state"])
            options["state" if remote_outputs(options["output"], os.environ) else "output"] = str(folder)
        options["catalog"] = options["catalog"] or self._catalog or _catalog_of_environment()
        return options

    def _access(self, options: Mapping[str, Any]) -> Access:
        given, file = options["key"], options["api_key_file"]

        def find() -> ApiKey:
            if given is not None:
                return checked_key(given, "key")
            folder = None if self._scratch is not None else self.path.parent
            return find_key(folder, None if file is None else Path(file), os.environ)

        address = options["base_url"]
        reach = dict(options) | {name: options[name] or _variable(name) for name in ("base_url", "proxy")}
        return access_from(reach, find, base_url_is_default=address is None)


def load(
    source: str | PathLike[str] | Items, *, name: str | None = None, catalog: str | PathLike[str] | None = None
) -> Manifest:
    """Return a manifest from a file, or from items as dicts with the keys that a manifest's items have.

    Items need a `name`, which names the run folder; lines in messages count the items from 4 on then. `catalog` holds
    parameter tables to use in place of the shipped ones, also for what is done with the manifest. Raises ManifestError
    with every problem, and UsageError if a file cannot be opened.

    >>> mug = {"model": "hera-1.0-text-to-image", "prompt": "A mug"}
    >>> manifest = load([{"id": "mug", **mug}, {"id": "mugs", "num_images": 3, **mug}], name="mugs")
    >>> plan = manifest.plan(output="output")
    >>> plan.items, plan.estimated_usd
    (2, Decimal('0.224'))
    >>> [(row.id, row.state, row.params) for row in plan.rows]
    [('mug', 'new', {}), ('mugs', 'new', {'num_images': 3})]
    >>> summary = manifest.run(output="output", simulate=True)
    >>> summary.done, summary.net_usd, summary.exit_code
    (2, Decimal('0.224'), 0)
    """
    chosen = None if catalog is None else Path(catalog)
    tables = load_catalog(chosen or _catalog_of_environment())
    scratch: _Scratch | None = None
    if isinstance(source, str | PathLike):
        path = Path(source)
    else:
        scratch = _Scratch()
        path = _written(scratch.folder, source, name)
    with tempfile.TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True) as folder:
        manifest = load_manifest(path, Path(folder) / "items.sqlite3", tables)
    return Manifest(path, manifest.name, scratch, chosen)


def _variable(option: str) -> str | None:
    """Return what the environment says of an option; an empty variable says nothing."""
    return os.environ.get(VARIABLES[option]) or None


def _catalog_of_environment() -> Path | None:
    named = _variable("catalog")
    return None if named is None else Path(named)


class _Scratch:
    """A folder that is there as long as this object is."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="batchgen-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)


def _written(folder: Path, items: Items, name: str | None) -> Path:
    """Write a manifest of items into a folder; JSON is YAML."""
    if name is None:
        raise TypeError("a manifest of items needs a name: load(items, name='spring')")
    path = folder / "items.yaml"
    with path.open("w", encoding="utf-8") as out:
        out.write(f"version: 1\nname: {json.dumps(name)}\nitems:\n")
        count = 0
        for item in items:
            count += 1
            if not isinstance(item, Mapping):
                raise TypeError(f"item {count} must be a dict, got {type(item).__name__}")
            out.write(f"- {json.dumps(dict(item))}\n")
        if not count:
            out.write("  []\n")
    return path


def _host(
    stop: StopHandle | None, listen: Callable[[Event], None] | None = None, *, progress: bool | None = None
) -> Host:
    heard = [] if listen is None else [listen]
    if progress or (progress is None and in_notebook()):
        heard.append(bar())

    def tell(event: Event) -> None:
        for listener in heard:
            listener(event)

    return Host(listen=tell, stop=stop or StopHandle(), items=listen is not None)
