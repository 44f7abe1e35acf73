"""What a run would buy: sums over how a manifest's items stand, item by item, and as text."""

from batchgen.plan.plan import Plan, make_plan
from batchgen.plan.rows import Change, PlanRow, format_row, plan_row, row_json
from batchgen.plan.selection import Selection
from batchgen.plan.text import decisions, format_plan, plan_json, plan_notes, purchases_again, renames_text

__all__ = [
    "Change",
    "Plan",
    "PlanRow",
    "Selection",
    "decisions",
    "format_plan",
    "format_row",
    "make_plan",
    "plan_json",
    "plan_notes",
    "plan_row",
    "purchases_again",
    "renames_text",
    "row_json",
]
