"""Charges and refunds in FOCUS 1.2, the FinOps Open Cost and Usage Specification (https://focus.finops.org)."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache

from batchgen.core.cells import text_cell
from batchgen.core.costs import CostSum
from batchgen.core.errors import UsageError
from batchgen.core.records import CHARGED
from batchgen.core.text import stamp, usd
from batchgen.ledger.charges import Charge
from batchgen.ledger.columns import TRUE
from batchgen.ledger.period import Period
from batchgen.ledger.postings import Posting
from batchgen.ledger.reported import Reported

FOCUS_COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd",
    "ChargePeriodStart", "CommitmentDiscountStatus", "ConsumedQuantity", "ConsumedUnit", "ContractedCost",
    "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingQuantity", "PricingUnit",
    "ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter",
    "SkuPriceDetails", "SkuPriceId", "Tags",
)  # fmt: skip
"""All that the specification demands or recommends of such a provider; one that its rules on quantities refer to, too.

It has no sub-accounts, regions or negotiated prices; invoices and what the parts of a price are nobody told us.
"""
OWN_COLUMNS = (
    "x_RunName", "x_ItemId", "x_AttemptNumber", "x_State", "x_JobId", "x_RequestDigest", "x_OutputCount", "x_Simulated",
)  # fmt: skip
_PROVIDER, _SIMULATOR = "Api18.dev", "batchgen simulator"
_ALWAYS = {
    "BillingCurrency": "USD",
    "ChargeCategory": "Usage",  # refunds as well: they belong to the category of what is refunded
    "ChargeFrequency": "Usage-Based",
    "ConsumedUnit": "Requests",
    "PricingUnit": "Requests",
    "ServiceCategory": "AI and Machine Learning",
    "ServiceSubcategory": "Generative AI",
    "SkuMeter": "Generation Requests",
}
_SECOND = timedelta(seconds=1)
_PIECE = 500
"""Rows that are written at once."""


class FocusRows:
    """Yields RFC 4180, piece by piece: a header, then a row for each charge, and one for each refund.

    A refund is a negative row of its own at its own time, and a correction (`ChargeClass`) where the charge was in an
    earlier month, which is the billing period. What has no value is empty. Items in doubt, which are on no bill that
    anybody knows, have no row. Raises UsageError for a charge without a time or an account.
    """

    def __init__(self, reported: Reported) -> None:
        self.in_doubt = CostSum()
        """Items in doubt that were left out so far."""
        self._reported = reported
        self._months: dict[str | None, Period] = {}

    def __iter__(self) -> Iterator[str]:
        out = io.StringIO()
        writer = csv.DictWriter(out, (*FOCUS_COLUMNS, *OWN_COLUMNS), restval="")
        writer.writeheader()
        written = 0
        for posting in self._reported:
            if posting.charge.in_doubt:
                self.in_doubt.add(posting.charge)
            if posting.is_refund or posting.charge.state in CHARGED:
                writer.writerow(self._row(posting))
                written += 1
                if written % _PIECE == 0:
                    yield out.getvalue()
                    out.seek(0)
                    out.truncate()
        yield out.getvalue()

    def _row(self, posting: Posting) -> dict[str, object]:
        charge, at = posting.charge, posting.at
        if at is None or not charge.account:
            lacking = "time" if at is None else "account"
            raise UsageError(
                f"attempt {charge.attempt} of {charge.item_id} (run {charge.run}) has no {lacking}, which FOCUS needs"
            )
        amount, sign = (charge.refunded, -1) if posting.is_refund else (charge.charged, 1)
        provider = _SIMULATOR if charge.simulated else _PROVIDER
        return {
            **_ALWAYS,
            **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost"), usd(amount)),
            **dict.fromkeys(("InvoiceIssuerName", "ProviderName", "PublisherName", "ServiceName"), provider),
            **dict.fromkeys(("SkuId", "SkuPriceId"), text_cell(charge.model)),
            # With a point, so that readers that tell types by their values see decimals.
            **dict.fromkeys(("ConsumedQuantity", "PricingQuantity"), f"{sign}.0"),
            "BillingAccountId": text_cell(charge.account),
            "ChargeDescription": _description(posting),
            "ChargePeriodStart": _stamp(at),
            "ChargePeriodEnd": _stamp(at + _SECOND),
            "ListCost": usd(sign * charge.estimated),
            "ListUnitPrice": usd(charge.estimated),
            "Tags": _tags(charge),
            **self._billing_period(posting, at),
            "x_RunName": text_cell(charge.run),
            "x_ItemId": text_cell(charge.item_id),
            "x_AttemptNumber": charge.attempt,
            "x_State": charge.state,
            "x_JobId": text_cell(charge.job_id),
            "x_RequestDigest": text_cell(charge.digest),
            "x_OutputCount": "" if posting.is_refund else charge.outputs,
            "x_Simulated": TRUE if charge.simulated else "",
        }

    def _billing_period(self, posting: Posting, at: datetime) -> dict[str, object]:
        """Return the month of a charge or refund, and whether it refunds a charge of an earlier month."""
        period = self._reported.period
        if (name := period.month(at)) not in self._months:
            self._months[name] = period.month_around(at)
        month, charged_at = self._months[name], posting.charge.charged_at
        corrects = posting.is_refund and charged_at is not None and not month.contains(charged_at)
        return {
            "BillingPeriodStart": _stamp(month.since),
            "BillingPeriodEnd": _stamp(month.until),
            "ChargeClass": "Correction" if corrects else "",
        }


def _description(posting: Posting) -> str:
    charge = posting.charge
    what = "Refund for" if posting.is_refund else "Generation of"
    return f"{what} {text_cell(charge.item_id)} with {text_cell(charge.model)} (run {text_cell(charge.run)})"


def _tags(charge: Charge) -> str:
    return json.dumps(dict(sorted(charge.tags.items())), ensure_ascii=False) if charge.tags else ""


@lru_cache(maxsize=4096)  # the rows of a second, and the bounds of a month, come together
def _stamp(moment: datetime | None) -> str:
    return "" if moment is None else stamp(moment)
