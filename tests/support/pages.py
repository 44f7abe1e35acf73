"""The project's own copy of the published reference, in every form in which such a page comes."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "unit" / "catalog" / "reference.txt").read_text(encoding="utf-8")
"""One model a line."""


def folded(page: str = PAGE) -> str:
    """The page on a single line."""
    return " ".join(page.split())


def unfolded(page: str = PAGE) -> str:
    """The page with a line for each fact and each parameter, and blank lines between its parts."""
    text = re.sub(r" - (?=[`A-Z])", "\n- ", page)
    return re.sub(r" (?=Parameters:|Example request body:)", "\n\n", text)


def wrapped(page: str = PAGE) -> str:
    """The page with lines of a few words."""
    words = page.split()
    lines = [" ".join(words[n : n + 5]) for n in range(0, len(words), 5)]
    return "\r\n".join(lines)


def with_tables(page: str = PAGE, between: str = " | ") -> str:
    """The page with a table in place of each list of parameters."""
    return re.sub(r"Parameters: (.*?) (?=Example request body:)", lambda found: _table(found[1], between), page)


def one_model(page: str, model_id: str) -> str:
    """The page of one model alone."""
    section = next(part for part in re.split(r"(?=### )", page) if f"`{model_id}`" in part)
    return section.replace("### ", "# ")


def _table(bullets: str, between: str) -> str:
    rows = [("Parameter", "Type", "Details")]
    if between == " | ":
        rows.append(("---", "---", "---"))
    for bullet in re.split(r"(?:^| )- (?=`)", bullets)[1:]:
        name, kind, rest = bullet.split(" · ", 2)
        need, _, details = rest.partition(" — ")
        rows.append((f"{name} *" if need == "REQUIRED" else name, kind, details))
    lines = [between.join(row) for row in rows]
    if between == "\n*\n":
        lines = [line for row in rows for line in (row[0].replace(" *", "\n*"), *row[1:])]
    if between == " | ":
        lines = [f"| {line} |" for line in lines]
    return "\n\n" + "\n".join(lines) + "\n\n"
