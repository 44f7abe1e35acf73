"""The catalogue: parameter tables as data, and the prices, schemas and checks that come from them."""

from batchgen.catalog.body_checker import BodyChecker
from batchgen.catalog.manifest_schema import manifest_schema
from batchgen.catalog.prices import outputs_of, price_key, price_of, reproducible
from batchgen.catalog.request_schemas import describe, request_schema, shown
from batchgen.catalog.schema_files import schema_files
from batchgen.catalog.tables import Catalog, Model, Parameter, Price, load_catalog, nearest, read_catalog
from batchgen.catalog.value_checks import BodyProblem

__all__ = [
    "BodyChecker",
    "BodyProblem",
    "Catalog",
    "Model",
    "Parameter",
    "Price",
    "describe",
    "load_catalog",
    "manifest_schema",
    "nearest",
    "outputs_of",
    "price_key",
    "price_of",
    "read_catalog",
    "reproducible",
    "request_schema",
    "schema_files",
    "shown",
]
