"""The catalogue: parameter tables as data, and the prices, schemas and checks that come from them."""

from batchgen.catalog.body_checker import BodyChecker
from batchgen.catalog.hints import describe, described, shown
from batchgen.catalog.manifest_schema import manifest_schema
from batchgen.catalog.prices import (
    outputs_of,
    price_json,
    price_key,
    price_of,
    price_text,
    priced_by,
    reproducible,
    shape_of,
    with_unit,
)
from batchgen.catalog.request_schemas import request_schema
from batchgen.catalog.schema_files import schema_files
from batchgen.catalog.tables import Catalog, Model, Parameter, Price, nearest
from batchgen.catalog.tables_file import load_catalog, read_catalog
from batchgen.catalog.value_checks import BodyProblem, Check

__all__ = [
    "BodyChecker",
    "BodyProblem",
    "Catalog",
    "Check",
    "Model",
    "Parameter",
    "Price",
    "describe",
    "described",
    "load_catalog",
    "manifest_schema",
    "nearest",
    "outputs_of",
    "price_json",
    "price_key",
    "price_of",
    "price_text",
    "priced_by",
    "read_catalog",
    "reproducible",
    "request_schema",
    "schema_files",
    "shape_of",
    "shown",
    "with_unit",
]
