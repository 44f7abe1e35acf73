"""Judges a CSV file by the rules of FOCUS 1.2 (https://focus.finops.org): columns, types, allowed values, sums.

Written from the specification alone, without the program's own lists.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal

Row = dict[str, str]
MANDATORY = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity",
    "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
)  # fmt: skip
RECOMMENDED = ("AvailabilityZone", "ChargeFrequency", "InvoiceId", "ServiceSubcategory")
OF_CONDITIONS = {
    "usage is measured": ("ConsumedQuantity", "ConsumedUnit"),
    "unit prices are published": ("ListUnitPrice", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId"),
    "there are tags": ("Tags",),
}
"""Conditional columns of a provider of which these are true."""
OTHER_CONDITIONAL = (
    "BillingAccountType", "CapacityReservationId", "CapacityReservationStatus", "CommitmentDiscountCategory",
    "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountQuantity", "CommitmentDiscountStatus",
    "CommitmentDiscountType", "CommitmentDiscountUnit", "ContractedUnitPrice", "PricingCategory", "PricingCurrency",
    "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice",
    "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType", "SubAccountId", "SubAccountName",
    "SubAccountType",
)  # fmt: skip
NULLABLE = (
    "BillingAccountName", "ChargeClass", "ChargeDescription", "PricingQuantity", "PricingUnit", "InvoiceId",
    "ConsumedQuantity", "ConsumedUnit", "ListUnitPrice", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId",
    "Tags", "CommitmentDiscountStatus",
)  # fmt: skip
CATEGORIES = (
    "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools",
    "Multicloud", "Identity", "Integration", "Internet of Things", "Management and Governance", "Media", "Migration",
    "Mobile", "Networking", "Security", "Storage", "Web", "Other",
)  # fmt: skip
ALLOWED = {
    "ChargeCategory": ("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    "ChargeClass": ("", "Correction"),
    "ChargeFrequency": ("One-Time", "Recurring", "Usage-Based"),
    "CommitmentDiscountStatus": ("", "Used", "Unused"),
    "ServiceCategory": CATEGORIES,
    "ServiceSubcategory": (
        "AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing",
        "Other (AI and Machine Learning)",
    ),
}  # fmt: skip
"""The subcategories are those of the one category that a generator of media belongs to."""
NUMBER = re.compile(r"-?\d+(\.\d+)?(E-?\d+)?", re.ASCII)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
UNIT = re.compile(r"(\d+ )?[A-Z][A-Za-z]*s([/-][A-Z][a-z]+s?)?", re.ASCII)
OWN = re.compile(r"x_([A-Z][a-z0-9]*)+", re.ASCII)


def focus_faults(text: str) -> list[str]:
    """Return what is against the specification, each as `line: column: what`."""
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    faults = [f"header: {fault}" for fault in _header_faults(header)]
    for line, cells in enumerate(rows, 2):
        if len(cells) != len(header):
            faults.append(f"{line}: {len(cells)} cells")
            continue
        faults += [f"{line}: {fault}" for fault in _row_faults(dict(zip(header, cells, strict=True)))]
    return faults


def _header_faults(header: list[str]) -> Iterator[str]:
    demanded = [*MANDATORY, *(name for names in OF_CONDITIONS.values() for name in names)]
    known = {*demanded, *RECOMMENDED, *OTHER_CONDITIONAL}
    yield from (f"{name} is missing" for name in demanded if name not in header)
    yield from (f"{name} is there twice" for name in set(header) if header.count(name) > 1)
    yield from (f"{name} is no column" for name in header if name not in known and not OWN.fullmatch(name))
    own = [name.startswith("x_") for name in header]
    if own != sorted(own):
        yield "columns of our own are among those of the specification"
    yield from (f"{name} is longer than 50 characters" for name in header if len(name) > 50)


def _row_faults(row: Row) -> list[str]:
    # Rules between cells are about cells that are right by themselves.
    return list(_cell_faults(row)) or [name for name, holds in RULES.items() if not holds(row)]


def _cell_faults(row: Row) -> Iterator[str]:
    for name, cell in row.items():
        if name.startswith("x_"):
            continue
        if not cell and name not in NULLABLE:
            yield f"{name}: null"
        if cell and not cell.strip():
            yield f"{name}: blank"
        if name in ALLOWED and cell not in ALLOWED[name]:
            yield f"{name}: {cell} is not allowed"
        for ends, pattern in (
            (("Cost", "Quantity", "UnitPrice"), NUMBER),
            (("PeriodStart", "PeriodEnd"), TIME),
            (("Unit",), UNIT),
            (("Currency",), re.compile("[A-Z]{3}")),
        ):
            if cell and name.endswith(ends) and not pattern.fullmatch(cell):
                yield f"{name}: {cell} has another format"
    for name in ("Tags", "SkuPriceDetails"):
        yield from (f"{name}: {fault}" for fault in _pairs_faults(row.get(name, "")))


def _pairs_faults(cell: str) -> Iterator[str]:
    if not cell:
        return
    pairs = json.loads(cell, object_pairs_hook=list)
    if not isinstance(pairs, list):
        yield "not an object"
        return
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        yield "keys are not unique"
    yield from (f"{name} is an object or array" for name, value in pairs if isinstance(value, list | dict))


def _product(quantity: str, price: str, cost: str) -> Callable[[Row], bool]:
    """A cost is its quantity times its unit price, but in corrections, where both are known."""

    def holds(row: Row) -> bool:
        if row["ChargeClass"] or not row[quantity] or not row[price]:
            return True
        return Decimal(row[quantity]) * Decimal(row[price]) == Decimal(row[cost])

    return holds


def _times(row: Row, what: str) -> tuple[datetime, datetime]:
    start, end = (datetime.fromisoformat(row[f"{what}Period{bound}"]) for bound in ("Start", "End"))
    return start, end


def _regular(row: Row) -> bool:
    return row["ChargeCategory"] in ("Usage", "Purchase") and not row["ChargeClass"]


RULES: dict[str, Callable[[Row], bool]] = {
    "the billing period has an end": lambda row: _times(row, "Billing")[0] < _times(row, "Billing")[1],
    "the charge period has an end": lambda row: _times(row, "Charge")[0] < _times(row, "Charge")[1],
    "the charge period is within the billing period": lambda row: (
        _times(row, "Billing")[0] <= _times(row, "Charge")[0] and _times(row, "Charge")[1] <= _times(row, "Billing")[1]
    ),
    "ListCost is quantity times price": _product("PricingQuantity", "ListUnitPrice", "ListCost"),
    "ContractedCost without a price is BilledCost": lambda row: row["ContractedCost"] == row["BilledCost"],
    "EffectiveCost without commitments is BilledCost": lambda row: row["EffectiveCost"] == row["BilledCost"],
    "unit prices are not negative": lambda row: Decimal(row["ListUnitPrice"] or 0) >= 0,
    "usage has quantity, price and SKU": lambda row: (
        not _regular(row)
        or all(row[name] for name in ("PricingQuantity", "ListUnitPrice", "SkuId", "SkuPriceId", "ConsumedQuantity"))
    ),
    "a unit is there with its quantity": lambda row: all(
        bool(row[f"{what}Unit"]) == bool(row[f"{what}Quantity"]) for what in ("Pricing", "Consumed")
    ),
    "only usage is consumed": lambda row: row["ChargeCategory"] == "Usage" or not row["ConsumedQuantity"],
    "a purchase is not usage-based": lambda row: (
        row["ChargeCategory"] != "Purchase" or row["ChargeFrequency"] != "Usage-Based"
    ),
    "details belong to a SKU price": lambda row: bool(row["SkuPriceId"]) or not row["SkuPriceDetails"],
}
