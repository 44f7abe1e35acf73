"""Takes finished requests in: checks them against the tables, gives them id, digest, price and path, stages them."""

from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring as _quoted
from typing import Any, NamedTuple, Protocol

from batchgen.catalog import BodyChecker, BodyProblem, Catalog, Model, price_of
from batchgen.core.digest import canonical_json, digest_of
from batchgen.item_table import ItemTable
from batchgen.manifest.entry.entry_spec import MAX_ITEMS, RedoOf
from batchgen.manifest.item.any_model import AnyModel
from batchgen.manifest.item.ids import derived_seed, generated_id
from batchgen.manifest.item.paths import PathError, PathTemplate
from batchgen.manifest.yaml.problems import BrokenOffError

MAX_TAGS = 256
"""Different tags in one manifest; each is a column of the ledger."""
_TOO_MANY = f"a manifest may have {MAX_ITEMS:,} items, and this one has more"


class Tags(NamedTuple):
    """The tags of an item, and the JSON object that is staged."""

    values: Mapping[str, str]
    text: str

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "Tags":
        """Return the tags with their JSON, sorted by name."""
        # Written out, because texts are all there is, and setting up an encoder takes longer than the work.
        entries = [f"{_quoted(name)}:{_quoted(values[name])}" for name in sorted(values)]
        return cls(values, f"{{{','.join(entries)}}}")


class Place(Protocol):
    """Where an item comes from: it knows the places that problems belong to."""

    def of_body(self, problem: BodyProblem) -> None:
        """Note a problem of one parameter, at the place it was written."""
        ...

    def of_item(self, message: str) -> BrokenOffError:
        """Note a problem of the item as a whole, and return what ends the reading where it must end."""
        ...


class ItemRequest(NamedTuple):
    """A request with all variables replaced."""

    id: str | None
    """None: to be made of prompt and digest."""
    model: Model
    body: dict[str, Any]
    tags: Tags
    source: str
    variables: str = ""
    """The values of the matrix that it is made by, for messages."""
    redo_of: RedoOf | None = None
    """What it is a wanted second purchase of."""


PLAIN = (("", None),)
"""The copies of a request that is bought once: what stands behind the id, and the seed."""


class _Tally:
    """What is known of one model, and how many items it makes."""

    __slots__ = ("items", "never_seeded", "priced", "prices", "random", "unseeded")

    def __init__(self, model: Model) -> None:
        self.items = 0
        self.unseeded = 0
        # `reproducible` for every item without looking the parameter up for every item.
        self.never_seeded = model.seed is None
        self.random = model.seed.random if model.seed is not None else None
        self.priced = (*model.price.by, *([model.price.times] if model.price.times else []))
        """The parameters that the price depends on."""
        self.prices: dict[tuple[Any, ...], str] = {}


class ItemBuilder:
    """Everything that a manifest asks for, one request after the other."""

    def __init__(self, catalog: Catalog, path: PathTemplate, stage: ItemTable) -> None:
        self._check = BodyChecker(catalog).problems
        self._known = catalog.models
        self.any_model = AnyModel(catalog, self._check)
        self._path = path
        # The template that everyone has needs no filling.
        self._path_is_id = path.template.parts == ("", "id", "")
        self._stage = stage
        self._tallies: dict[str, _Tally] = {}
        self.tag_names: set[str] = set()

    @property
    def by_model(self) -> dict[str, int]:
        """Items of each model."""
        return {model_id: tally.items for model_id, tally in self._tallies.items()}

    @property
    def unseeded(self) -> dict[str, int]:
        """Items of each model that cannot be reproduced, where there are any."""
        return {model_id: tally.unseeded for model_id, tally in self._tallies.items() if tally.unseeded}

    def take(self, request: ItemRequest, place: Place) -> None:
        """Check and stage one request. Raises BrokenOffError past the bound on items."""
        problems = self._check(request.model.id, request.body)
        if problems:
            self._refuse(problems, request, PLAIN, place)
            return
        canonical = canonical_json(request.body)
        digest = digest_of(canonical)
        item_id = request.id if request.id is not None else generated_id(request.body.get("prompt"), digest)
        self._put(request, (item_id, digest, canonical), request.body, place)

    def model_fault(self, model_id: object) -> str:
        """Return what is wrong with the id of a model that the tables lack."""
        return self._check(model_id, {})[0].message

    def take_copies(
        self, request: ItemRequest, copies: Iterable[tuple[str, int | None]], place: Place, *, seeds: bool
    ) -> None:
        """Check and stage the copies that `seeds` or `repeat` make of one request; `seeds`: each has a seed of its own.

        A copy is what stands behind the id, and its seed, None where it is derived. Raises BrokenOffError.
        """
        problems = self._check(request.model.id, {**request.body, "seed": 0} if seeds else request.body)
        if problems:
            self._refuse(problems, request, copies, place)
            return
        plain = canonical_json(request.body)
        digest = digest_of(plain)
        base = request.id if request.id is not None else generated_id(request.body.get("prompt"), digest)
        for suffix, seed in copies:
            body = request.body
            if seeds:
                body = {**body, "seed": derived_seed(f"{base}{suffix}") if seed is None else seed}
                for problem in self._check(request.model.id, body):
                    place.of_body(problem)
            canonical = canonical_json(body) if seeds else plain
            identity = (f"{base}{suffix}", digest_of(canonical) if seeds else digest, canonical)
            self._put(request, identity, body, place, copy=1)

    def refuse(self, request: ItemRequest, copies: Iterable[tuple[str, int | None]], place: Place) -> None:
        """Note what else is wrong with a request that has a fault, and stage its ids, for clashes with others.

        Of an unknown model that is noted which all models would refuse. Raises BrokenOffError past the bound on items.
        """
        known = request.model.id in self._known
        problems = self._check(request.model.id, request.body) if known else self.any_model.problems(request.body)
        self._refuse(problems, request, copies, place)

    def _refuse(
        self,
        problems: Iterable[BodyProblem],
        request: ItemRequest,
        copies: Iterable[tuple[str, int | None]],
        place: Place,
    ) -> None:
        for problem in problems:
            place.of_body(problem)
        if request.id is not None:
            for suffix, _ in copies:
                self._stage.claim(f"{request.id}{suffix}", request.source, request.variables)
                if self._stage.count > MAX_ITEMS:
                    raise place.of_item(_TOO_MANY)

    def _put(
        self,
        request: ItemRequest,
        identity: tuple[str, str, str],
        body: Mapping[str, Any],
        place: Place,
        *,
        copy: int = 0,
    ) -> None:
        """Stage one copy of a request: `identity` is its id, its digest and the canonical form of `body`."""
        item_id, digest, canonical = identity
        model = request.model
        if self._path_is_id:
            path = item_id
        else:
            try:
                path = self._path.path(item_id, model.id, request.tags.values)
            except PathError as error:
                place.of_item(str(error))
                return
        tally = self._tallies.get(model.id)
        if tally is None:
            tally = self._tallies[model.id] = _Tally(model)
        tally.items += 1
        if tally.never_seeded or body.get("seed", tally.random) == tally.random:
            tally.unseeded += 1
        price = tally.prices.get(key := tuple(map(body.get, tally.priced)))
        if price is None:
            price = tally.prices[key] = format(price_of(model, body), "f")
        generated = 0 if request.id is not None else 1 + copy
        self._stage.add(
            (item_id, digest, model.id, canonical, request.tags.text, path, request.source, price, generated),
            request.variables,
            request.redo_of,
        )
        if self._stage.count > MAX_ITEMS:
            raise place.of_item(_TOO_MANY)
