"""The catalogue: parameter tables as data, and the prices, schemas and checks that come from them."""

from batchgen.catalog.checking import BodyChecker, BodyProblem
from batchgen.catalog.prices import outputs_of, price_of, reproducible
from batchgen.catalog.schemas import request_schema
from batchgen.catalog.tables import Catalog, Model, Parameter, Price, load_catalog, nearest, read_catalog

__all__ = [
    "BodyChecker",
    "BodyProblem",
    "Catalog",
    "Model",
    "Parameter",
    "Price",
    "load_catalog",
    "nearest",
    "outputs_of",
    "price_of",
    "read_catalog",
    "reproducible",
    "request_schema",
]
