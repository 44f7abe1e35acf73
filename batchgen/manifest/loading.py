"""Loads a manifest into an item table: in one pass, or in two if `items` comes before what it depends on."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.catalog import Catalog
from batchgen.core.errors import UsageError
from batchgen.item_table import ItemTable, open_item_table
from batchgen.manifest.comment_cuts import free_texts, warn_of_cuts
from batchgen.manifest.entry.compiled_entry import ManifestContext
from batchgen.manifest.entry.entry_key import entry_key
from batchgen.manifest.entry.entry_spec import OWN, read_entry_spec
from batchgen.manifest.entry.expansion import Expansion
from batchgen.manifest.entry.fast_path import FastPath
from batchgen.manifest.entry.header import Header, TopLevelValue, bought_files, read_header
from batchgen.manifest.entry.includes import Includes
from batchgen.manifest.item.builder import ItemBuilder
from batchgen.manifest.item.chains import note_chain_faults
from batchgen.manifest.item.duplicates import note_clashes
from batchgen.manifest.item.paths import PathError, PathTemplate, read_path
from batchgen.manifest.item.pictures import LocalPictures
from batchgen.manifest.yaml.document import Document
from batchgen.manifest.yaml.nodes import Map
from batchgen.manifest.yaml.problems import NO_WARNINGS, BrokenOffError, Mark, Problems, Warnings
from batchgen.manifest.yaml.shapes import Alike, MisreadError, Shapes

_ITEMS = "items"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a manifest without problems, except for its items, which are in the item table."""

    name: str
    description: str
    settings: Mapping[str, Any]
    """The `run` block, with the types of `batchgen.settings`."""
    items: int
    tag_names: tuple[str, ...]
    """All tags of all items, sorted."""
    left_out: tuple[tuple[str, str, int], ...]
    """Parameter, model, items: defaults that were left out because the model has no such parameter."""
    unseeded: tuple[tuple[str, int, bool], ...]
    """Model, items, whether it takes a seed: requests that cannot be reproduced, since they have none."""
    source: Path
    references: int = 0
    """Outputs of other items that items need."""
    included: tuple[Path, ...] = ()
    """The files that it includes, at first and second hand."""
    bought: tuple[Path, ...] = ()
    """Books that show what was bought elsewhere: the files of `run.bought`."""
    assets: str | None = None
    """Where the local pictures that items need are uploaded to, or are already; None: items need none."""
    warnings: Warnings = NO_WARNINGS


def load_manifest(
    path: Path, database: Path, catalog: Catalog, *, path_template: str | None = None, strict: bool = False
) -> Manifest:
    """Read the manifest `path`, put its items into a new item table in the SQLite file `database`, and return the rest.

    `path_template` replaces `run.path`; with `strict`, warnings are problems.

    Raises UsageError if the manifest cannot be opened or `path_template` is not a path template, and ManifestError
    with every problem of the manifest; the item table is then useless.
    """
    problems = Problems(path, strict=strict)
    template = _given_path(path_template)
    try:
        # A pipe cannot be read twice, and a device never ends.
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is {'a folder' if path.is_dir() else 'no file'}; name a manifest")
        with open_item_table(database) as table:
            loading = _Loading(path, catalog, problems, table, template)
            # The reason why reading stopped is noted as a problem like the others.
            with suppress(BrokenOffError):
                loading.read()
            loading.settle()
            loading.warn()
            if len(problems):
                raise problems.error()
            return loading.manifest()
    except FileNotFoundError as error:
        raise UsageError(f"there is no manifest {path}; `batchgen init` writes one to start from") from error
    except (PermissionError, IsADirectoryError) as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _given_path(text: str | None) -> PathTemplate | None:
    try:
        return None if text is None else read_path(text)
    except PathError as error:
        raise UsageError(f"the path template {text!r} cannot be used: {error}") from error


class _Loading:
    """One manifest being loaded into the item table."""

    def __init__(
        self, path: Path, catalog: Catalog, problems: Problems, table: ItemTable, template: PathTemplate | None
    ) -> None:
        self._path = path
        self._catalog = catalog
        self._problems = problems
        self._table = table
        self._template = template
        self._may_be_cut = False
        self._shapes = Shapes()
        self._learns = True
        self._included_with_hashes: list[Path] = []

    def read(self) -> None:
        """Expand all items. Raises BrokenOffError if the manifest cannot be read to its end."""
        try:
            self._read()
        except (MisreadError, BrokenOffError) as error:
            if isinstance(error, BrokenOffError) and not self._shapes.used:
                raise
            # What the parser said is certain only of the text as it is.
            self._forget()
            self._learns = False
            self._read()

    def _read(self) -> None:
        entries: dict[str, TopLevelValue] = {}
        if self._pass(entries, known=False):
            # Something that the items depend on came after them: it is known now, so read once more.
            self._forget()
            self._pass(entries, known=True)

    def _forget(self) -> None:
        self._problems.clear()
        self._table.clear()

    def _pass(self, entries: dict[str, TopLevelValue], *, known: bool) -> bool:
        """Read the manifest once; return whether a top-level key comes after `items`, unless all were `known`."""
        behind, items = False, False
        with self._path.open("rb") as file:
            self._shapes = Shapes()
            document = Document(self._path, file, self._problems, shapes=self._shapes)
            for key, key_mark, value, mark in document.entries(_ITEMS):
                if key == _ITEMS:
                    self._begin(entries)
                    self._expand(value, mark)
                    items = True
                elif not known:
                    entries[key] = TopLevelValue(value, key_mark, mark)
                    behind = behind or items
        self._may_be_cut = document.has_hashes
        if not items:
            self._begin(entries)
            self._problems.at(None, "`items` is missing; it lists what to buy")
        return behind

    def _begin(self, written: Mapping[str, TopLevelValue]) -> None:
        includes = Includes(self._problems)
        entries = includes.merged(written, self._path)
        self._included = tuple(includes.files)
        self._included_with_hashes = includes.with_hashes
        self.header: Header = read_header(entries, self._catalog, self._problems)
        self._bought = bought_files(self.header, self._path.parent, self._problems)
        assets = self.header.assets
        pictures = None if assets is None else LocalPictures(assets, self._path.parent, self._table)
        path = self._template or self.header.path
        self._builder = ItemBuilder(self._catalog, path, self._table, own_keys=OWN, pictures=pictures)
        tags: Mapping[str, Any] = self.header.tags or {}
        self._builder.tag_names.update(name for name, value in tags.items() if value is not None)
        self._context = ManifestContext(self.header, self._catalog, self._problems, self._builder, self._path)
        self._fast_path = FastPath(self._context)

    def _expand(self, items: Any, mark: Mark) -> None:
        if isinstance(items, dict) or not hasattr(items, "__iter__") or isinstance(items, str):
            self._problems.at(mark, "`items` must be a list, each entry beginning with `- `")
            return
        count = 0
        for item, item_mark in items if isinstance(items, Iterator) else _marked(items):
            count += 1
            self._entry(item, item_mark)
        if not count:
            self._problems.at(mark, "`items` is empty; there is nothing to buy")

    def _entry(self, entry: Any, mark: Mark) -> None:
        """Build the items of one entry. Raises BrokenOffError beyond the limit on items."""
        if type(entry) is Alike:
            if not self._fast_path.add_alike(entry):
                self._map(entry.map())
        elif type(entry) is not Map:
            self._problems.at(mark, "an item must be a map, as in `- prompt: A striped deck chair`")
        # A problem may be in what is not part of the map, such as a key that is there twice.
        elif self._map(entry) and self._learns and not len(self._problems):
            self._shapes.learn(entry)

    def _map(self, entry: Map) -> bool:
        """Build the items of a map; return whether it is one that is written out."""
        written_out = self._fast_path.add(entry)
        if not written_out:
            first = self._table.count + 1
            Expansion(self._context, read_entry_spec(entry, self._problems)).run()
            # An item whose id is made is named by it, as on the fast path, however the entry is formatted.
            if isinstance(entry.get("id"), str) or self._table.count > first:
                self._table.add_entry(entry_key(entry), first)
        return written_out

    def settle(self) -> None:
        """Settle twins, and note ids and paths that several items claim."""
        self._table.flush()
        if self._table.count and hasattr(self, "_builder"):
            path = self._template or self.header.path
            if self._table.generated:
                self._table.number_same_ids(path.path)
            note_clashes(self._table, self._path, self._problems, paths=not path.unique)
            if self._table.inputs:
                note_chain_faults(self._table.chains(), self._catalog, self._path, self._problems)

    def warn(self) -> None:
        """Warn about texts cut short by a YAML comment."""
        texts = free_texts(self._catalog)
        if self._may_be_cut:
            warn_of_cuts(self._path, texts, self._problems)
        for path in self._included_with_hashes:
            own = Problems(path)
            warn_of_cuts(path, texts, own, items=False)
            self._problems.add(own)

    def manifest(self) -> Manifest:
        """Return the result for a manifest without faults."""
        header, builder = self.header, self._builder
        left_out = [
            (name, model_id, count)
            for name in (header.defaults or {})
            for model_id, count in sorted(builder.by_model.items())
            if name != "model" and self._lacks(model_id, name)
        ]
        return Manifest(
            name=header.name,
            description=header.description,
            settings=header.settings,
            items=self._table.count,
            tag_names=tuple(sorted(builder.tag_names)),
            left_out=tuple(left_out),
            unseeded=tuple((model, *found) for model, found in sorted(builder.unseeded.items())),
            source=self._path,
            references=self._table.inputs,
            included=self._included,
            bought=self._bought,
            assets=header.assets if self._table.pictures else None,
            warnings=self._problems.warnings(),
        )

    def _lacks(self, model_id: str, parameter: str) -> bool:
        model = self._catalog.model(model_id)
        return model is not None and model.parameter(parameter) is None


def _marked(items: Any) -> Iterator[tuple[Any, Mark]]:
    """Yield the entries of a list that was built as a whole, because it came from an alias."""
    for n, item in enumerate(items):
        yield item, item.mark if isinstance(item, Map) else items.mark(n)
