"""The provider's published reference: a page as text, read into the terms of the parameter tables."""

from batchgen.catalog.reference.models import PublishedModel, Reference, models_on
from batchgen.catalog.reference.page import Fault, Page, Place
from batchgen.core.errors import ManifestError

__all__ = ["Place", "PublishedModel", "Reference", "read_reference"]

_KEPT = 100
"""How many faults are shown; the others are only counted."""


def read_reference(text: str, name: str) -> Reference:
    """Return the models of a published page: of all models or of one, folded to one line or not, with lists or tables.

    `name` is what errors call the page. Raises ManifestError with everything that cannot be read; only a
    price rule of unknown form leaves the price unknown instead.
    """
    page, faults = Page(text, name), list[Fault]()
    reference = models_on(page, faults)
    if faults:
        more = max(0, len(faults) - _KEPT)
        raise ManifestError(page.located(faults[:_KEPT]), more=more, where="the published page; nothing was changed")
    return reference
