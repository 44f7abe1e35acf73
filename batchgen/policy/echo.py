"""Whether the job in an answer can be the one that was ordered, judged by the echo of the request.

The API may omit parts of the echo, add defaults, or write values in another form (docs/api.md: `input` is
an "echo of your request"); that does not make the job someone else's. Only what no correct echo changes is evidence:
the model and the prompt.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

# Built once: `json.loads` builds one for each text that is read with a rule of its own.
_EXACT = json.JSONDecoder(parse_float=Decimal)


def foreign(body: str, model: str | None, shown: Mapping[str, Any] | None) -> str | None:
    """Return why a job with this `model` and `input` is not what `body` ordered, or None if it may be."""
    order = json.loads(body)
    for name, said in (("model", model), ("model", _text_in(shown, "model")), ("prompt", _text_in(shown, "prompt"))):
        ordered = order.get(name)
        if said and isinstance(ordered, str) and _folded(said) != _folded(ordered):
            return f"its {name} differs"
    return None


def differences(body: str, shown: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield how the `input` in an answer differs from `body`, as predicates, beyond the evidence that `foreign` judges.

    Numbers are compared by value, in whatever form they are written.
    """
    if shown is None:
        yield "does not show its input"
        return
    for name, value in _EXACT.decode(body).items():
        if name in ("model", "prompt"):
            continue
        if name not in shown:
            yield f"does not show its {name}"
        elif shown[name] != value:
            yield f"shows another {name}"


def _text_in(shown: Mapping[str, Any] | None, name: str) -> str | None:
    text = None if shown is None else shown.get(name)
    return text if isinstance(text, str) else None


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
