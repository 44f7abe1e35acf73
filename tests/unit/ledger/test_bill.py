"""Reading bills: hostile and messy files, of which every sum is right or an error."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.errors import UsageError
from batchgen.ledger.matching import bill_rows


def amounts(path: Path, text: str | bytes, **columns: str) -> dict[str, Decimal]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return {row.job_id: row.amount for row in bill_rows(path, **columns)}


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    return tmp_path / "bill.csv"


@pytest.mark.parametrize(
    "text",
    [
        "job_id,amount\na,0.06\nb,-0.30\n",
        "\ufeffjob_id,amount\r\na,0.06\r\nb,-0.30\r\n",
        "date;Job ID;x;AMOUNT\n2026-01-31;a;y;0.06\n;b;;-0.30\n",
        'job-id\tamount\n"a"\t"$0.06"\nb\t($0.30)\n',
        "job_id|amount\n a | 0.06 USD \nb|-$0.30\n",
        "\n\njob_id,amount,\n\na,$ .06,,\n,,\nb,$-0.30\n \n",
        "job_id,amount\na,US$0.06\nb,\u22120.30\nTotal,-0.24\n",
        "job_id,amount\na,+0.060\nsubtotal:,0.06\nb,'-0.30\n,-0.24",
    ],
)  # fmt: skip
def test_forms_of_a_bill(bill: Path, text: str) -> None:
    assert amounts(bill, text) == {"a": Decimal("0.06"), "b": Decimal("-0.30")}


@pytest.mark.parametrize(
    ("written", "amount"),
    [("1234.5", "1234.5"), ("$1,234.50", "1234.5"), ("1,234,567.891", "1234567.891"), ("7", "7"), ("0", "0")],
)
def test_amounts(bill: Path, written: str, amount: str) -> None:
    assert amounts(bill, f'job_id,amount\na,"{written}"\n') == {"a": Decimal(amount)}


@pytest.mark.parametrize(
    "written",
    ["0,06", "1,234", "1.234,50", "12,34.5", "1e-3", "NaN", "Infinity", "€0.06", "0.06 EUR", "1 234.50", "-(0.06)",
     "--0.06", "-$-0.06", "0.06-", "(0.06", "0.06)", ".", "-", "$", "٣", "1_0", "9" * 13, "0.0000000000001", "0x1"],
)  # fmt: skip
def test_amounts_that_are_not_certain_are_errors_with_their_place(bill: Path, written: str) -> None:
    with pytest.raises(UsageError, match=r"bill\.csv:3: the amount "):
        amounts(bill, f'job_id,amount\na,1\nb,"{written}"\n')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: there is no column 'job_id'; name it with --job-column. Found: none"),
        ("job,usd\na,1\n", "1: there is no column 'job_id'; name it with --job-column. Found: 'job', 'usd'"),
        ("job_id,usd\na,1\n", "1: there is no column 'amount'; name it with --amount-column. Found: 'job_id', 'usd'"),
        ("job_id,Job ID,amount\na,a,1\n", "1: 2 columns are called 'job_id'"),
        ("job_id,amount\na,$1,234.50\n", "2: 3 cells where the header has 2"),
        ("job_id,amount\na\n", "2: job a has no amount"),
        ("note,job_id,amount\nx,,\n", "2: the row has neither job nor amount"),
        ("job_id,amount\na,1\n,2\n", "3: the row names no job, so it must be a total, but 2.00 is not the sum"),
        ("job_id,amount\na,1\nTotal,2\n", "3: the row names no job"),
        ('job_id,amount\n"a,1\n', "2: unexpected end of data"),
        ('job_id,amount\n"a"b,1\n', "2: ',' expected after '\"'"),
        (f"job_id,amount\n{'a' * 257},1\n", "2: 'aaaa"),
        ("job_id,amount\na\0b,1\n", "2: 'a b' is not a job id"),
    ],
)
def test_errors_say_where(bill: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        amounts(bill, text)
    assert str(error.value).startswith(f"{bill}:{message}")


@pytest.mark.parametrize("text", ["job_id,amount\na,1\n".encode("utf-16"), b"job_id,amount\n\xff,1\n"])
def test_other_encodings(bill: Path, text: bytes) -> None:
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        amounts(bill, text)


def test_a_bill_that_is_not_there(bill: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        list(bill_rows(bill))


def test_columns_of_other_names(bill: Path) -> None:
    text = "Generation,Net (USD),job_id,amount\na,1,x,9\n"
    assert amounts(bill, text, job_column="generation", amount_column="net (usd)") == {"a": Decimal(1)}


CELLS = st.text(st.characters(codec="utf-8"), max_size=12)


@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=4), delimiter=st.sampled_from(",;\t|"))
def test_whatever_is_in_a_bill_it_is_read_or_refused_with_its_place(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str
) -> None:
    bill = tmp_path_factory.mktemp("bills") / "bill.csv"
    text = f"job_id{delimiter}amount\n" + "".join(delimiter.join(row) + "\n" for row in rows)
    bill.write_bytes(text.encode())
    try:
        found = list(bill_rows(bill))
    except UsageError as error:
        assert str(bill) in str(error)
    else:
        assert all(row.job_id and row.amount.is_finite() for row in found)
