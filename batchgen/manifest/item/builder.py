"""Builds items from requests: checks them against the catalogue, gives them an id, digest, price and path, and adds
them to the item table.

Problems of a request are returned; the caller shows them where the request is written.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from batchgen.catalog import BodyChecker, BodyProblem, Catalog, Model, price_of, priced_by
from batchgen.core.digest import canonical_json, digest_of
from batchgen.item_table import ItemTable
from batchgen.manifest.item.any_model import AnyModel
from batchgen.manifest.item.ids import derived_seed, generated_id
from batchgen.manifest.item.paths import PathError, PathTemplate
from batchgen.manifest.item.pictures import LocalPictures
from batchgen.manifest.item.request import MAX_ITEMS, ItemRequest, Tags
from batchgen.manifest.item.series import Series
from batchgen.manifest.yaml.problems import Mark

TOO_MANY_ITEMS = BodyProblem((), f"a manifest may have at most {MAX_ITEMS:,} items; this one has more")
"""Reading must stop after this problem."""
_ONE_COPY = (("", None),)
"""The copies of a request that is bought once: what comes after the id, and the seed."""


def _place(mark: Mark | None) -> tuple[int, int] | None:
    return None if mark is None else (mark.line, mark.column)


class _Tally:
    """What is known about one model, and how many items use it."""

    __slots__ = ("items", "never_seeded", "priced", "prices", "random", "unseeded")

    def __init__(self, model: Model) -> None:
        self.items = 0
        self.unseeded = 0
        # `reproducible` for every item without looking the parameter up for every item.
        self.never_seeded = model.seed is None
        self.random = model.seed.random if model.seed is not None else None
        self.priced = () if model.price is None else priced_by(model)
        """The parameters that the price depends on."""
        self.prices: dict[tuple[Any, ...], str | None] = {}

    def add(self, seed: object) -> None:
        """Count an item with this seed, `random` if it has none."""
        self.items += 1
        if self.never_seeded or seed == self.random:
            self.unseeded += 1

    def price(self, model: Model, body: Mapping[str, Any]) -> str | None:
        """Return the price of a body, in USD; None if it is unknown."""
        price = self.prices.get(key := tuple(map(body.get, self.priced)))
        if price is None:
            known = price_of(model, body)
            price = self.prices[key] = None if known is None else format(known, "f")
        return price


class ItemBuilder:
    """Builds the items of one manifest, one request after the other."""

    def __init__(
        self,
        catalog: Catalog,
        path: PathTemplate,
        table: ItemTable,
        *,
        own_keys: AbstractSet[str] = frozenset(),
        pictures: LocalPictures | None = None,
    ) -> None:
        """`own_keys` are the keys of an item that are no parameters; without `pictures`, no local ones can be sent."""
        self._pictures = pictures
        self._checker = BodyChecker(catalog, beside=own_keys)
        self._check = self._checker.problems
        self._known = catalog.models
        self.any_model = AnyModel(catalog, self._check, own_keys)
        self._path = path
        # The default template does not need filling.
        self._path_is_id = path.template.parts == ("", "id", "")
        self._table = table
        self._tallies: dict[str, _Tally] = {}
        self.tag_names: set[str] = set()

    @property
    def by_model(self) -> dict[str, int]:
        """Number of items per model."""
        return {model_id: tally.items for model_id, tally in self._tallies.items()}

    @property
    def unseeded(self) -> dict[str, tuple[int, bool]]:
        """Number of items per model that cannot be reproduced, and whether it takes a seed; only models with any."""
        return {
            model_id: (tally.unseeded, not tally.never_seeded)
            for model_id, tally in self._tallies.items()
            if tally.unseeded
        }

    def add(self, request: ItemRequest) -> Iterable[BodyProblem]:
        """Add the item of a request to the table, and return what is wrong with it; an empty path means the whole item.

        As with the other methods that return problems, the work is done only when they are iterated over.
        """
        request, faults = self._with_pictures(request)
        problems = (*faults, *self._check(request.model.id, request.body))
        if problems:
            return self._refused(problems, request, _ONE_COPY)
        canonical = canonical_json(request.body)
        digest = digest_of(canonical)
        item_id = request.id if request.id is not None else generated_id(request.body.get("prompt"), digest)
        return self._add(request, (item_id, digest, canonical), request.body)

    def _with_pictures(self, request: ItemRequest) -> tuple[ItemRequest, tuple[BodyProblem, ...]]:
        """Return a request with stand-ins for its local pictures, and what is wrong with these."""
        if self._pictures is None:
            return request, ()
        body, faults = self._pictures.take(request.model, request.body)
        return request._replace(body=body), faults

    @property
    def open_parameters(self) -> frozenset[str]:
        """The parameters that take any number of values."""
        return self._checker.open_parameters

    def series(self, request: ItemRequest, varying: Iterable[str]) -> Series | None:
        """Return what is the same for all requests that differ from `request` only in ids, tags and `varying` values.

        `request` was added, and had no problems. None if such requests can differ in more than that.
        """
        request, _ = self._with_pictures(request)
        open_checks = self._checker.open_checks(request.model.id)
        tally = self._tallies[request.model.id]
        names = frozenset(varying)
        if not names <= open_checks.keys() or not names.isdisjoint(tally.priced):
            return None
        return Series(request, {name: open_checks[name] for name in names}, tally.price(request.model, request.body))

    def add_to(self, series: Series, item_id: str | None, values: Sequence[Any], tags: Tags, source: str) -> bool:
        """Add the item of a series that has these values, as `add` would.

        False, with nothing done, if `add` would find problems, which it tells.
        """
        if self._table.count >= MAX_ITEMS:
            return False
        for check, value in zip(series.checks, values, strict=True):
            if check(value):
                return False
        canonical = series.canonical(values)
        digest = digest_of(canonical)
        name = item_id if item_id is not None else generated_id(series.prompt(values), digest)
        model, path = series.request.model, name
        if not self._path_is_id:
            try:
                path = self._path.path(name, model.id, tags.values)
            except PathError:
                return False
        tally = self._tallies[model.id]
        tally.add(series.seed(values, tally.random))
        expect, variables, generated = series.request.expect, series.request.variables, int(item_id is None)
        self._table.add(
            (name, digest, model.id, canonical, tags.text, path, source, series.price, expect, variables, generated)
        )
        return True

    def add_copies(
        self, request: ItemRequest, copies: Iterable[tuple[str, int | None]], *, seeds: bool
    ) -> Iterator[BodyProblem]:
        """Add the copies that `seeds` or `repeat` make of one request; with `seeds`, each has its own seed.

        A copy is an id suffix and a seed, None if it is derived.
        """
        request, faults = self._with_pictures(request)
        problems = (*faults, *self._check(request.model.id, {**request.body, "seed": 0} if seeds else request.body))
        if problems:
            yield from self._refused(problems, request, copies)
            return
        plain = canonical_json(request.body)
        digest = digest_of(plain)
        base = request.id if request.id is not None else generated_id(request.body.get("prompt"), digest)
        for suffix, seed in copies:
            body = request.body
            if seeds:
                body = {**body, "seed": derived_seed(f"{base}{suffix}") if seed is None else seed}
                yield from self._check(request.model.id, body)
            canonical = canonical_json(body) if seeds else plain
            identity = (f"{base}{suffix}", digest_of(canonical) if seeds else digest, canonical)
            yield from self._add(request, identity, body, copy=1)

    def refuse(self, request: ItemRequest, copies: Iterable[tuple[str, int | None]]) -> Iterator[BodyProblem]:
        """Return what else is wrong with a faulty request, and keep its ids, which may clash with others.

        For an unknown model these are the problems that every model has with the request.
        """
        known = request.model.id in self._known
        request, faults = self._with_pictures(request)
        problems = self._check(request.model.id, request.body) if known else self.any_model.problems(request.body)
        return self._refused((*faults, *problems), request, copies)

    def model_fault(self, model_id: object) -> str:
        """Return the problem of a model id that is not in the catalogue."""
        return self._check(model_id, {})[0].message

    def _refused(
        self, problems: Iterable[BodyProblem], request: ItemRequest, copies: Iterable[tuple[str, int | None]]
    ) -> Iterator[BodyProblem]:
        yield from problems
        if request.id is None:
            return
        for suffix, _ in copies:
            self._table.add_faulty(f"{request.id}{suffix}", request.source, request.combination)
            if self._table.count > MAX_ITEMS:
                yield TOO_MANY_ITEMS
                return

    def _add(
        self, request: ItemRequest, identity: tuple[str, str, str], body: Mapping[str, Any], *, copy: int = 0
    ) -> tuple[BodyProblem, ...]:
        """Add one copy of a request: `identity` is its id, its digest and the canonical form of `body`."""
        item_id, digest, canonical = identity
        model = request.model
        if self._path_is_id:
            path = item_id
        else:
            try:
                path = self._path.path(item_id, model.id, request.tags.values)
            except PathError as error:
                return (BodyProblem((), str(error)),)
        tally = self._tallies.get(model.id)
        if tally is None:
            tally = self._tallies[model.id] = _Tally(model)
        tally.add(body.get("seed", tally.random))
        price = tally.price(model, body)
        generated = 0 if request.id is not None else 1 + copy
        self._table.add(
            (
                item_id,
                digest,
                model.id,
                canonical,
                request.tags.text,
                path,
                request.source,
                price,
                request.expect,
                request.variables,
                generated,
            ),
            request.combination,
            request.redo_of,
        )
        if request.priority:
            self._table.set_priority(request.priority)
        for parameter, reference in request.references:
            self._table.add_input(parameter, reference.item_id, reference.output, _place(reference.mark))
        return () if self._table.count <= MAX_ITEMS else (TOO_MANY_ITEMS,)
