"""The provider's books: accounts, jobs, charges, refunds. They decide whether anything was paid twice."""

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal

from batchgen.provider.jobs import ProviderJob


@dataclass(slots=True)
class Account:
    """One account. Amounts in USD; `paid` and `promo` are the total deposits."""

    id: str
    paid: Decimal
    promo: Decimal
    charged: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    accepted: int = 0
    completed: int = 0
    failed: int = 0
    duplicates: int = 0

    @property
    def balance(self) -> Decimal:
        """The paid credit that is left."""
        return self.paid - self.charged + self.refunded


@dataclass(frozen=True, slots=True)
class Totals:
    """The books of one account, or of all together. Amounts in USD."""

    balance: Decimal
    promo: Decimal
    paid: Decimal
    """The total deposits."""
    charged: Decimal
    refunded: Decimal
    """Positive; `net` is `charged - refunded`."""
    net: Decimal
    accepted: int
    completed: int
    failed: int
    in_progress: int
    duplicates: int
    """Requests accepted more than once for the same account."""

    def as_json(self) -> dict[str, str | int]:
        """Return the values with amounts as plain decimal digits."""
        return {k: format(v, "f") if isinstance(v, Decimal) else v for k, v in asdict(self).items()}


class Books:
    """Accounts and jobs. Not thread-safe; time must not go backwards."""

    def __init__(self, *, paid: Decimal, promo: Decimal = Decimal(0)) -> None:
        """New accounts start with `paid` and `promo` USD."""
        self._opening = (paid, promo)
        self.accounts: dict[str, Account] = {}
        self.jobs: dict[str, ProviderJob] = {}
        self.polls: Counter[str] = Counter()
        """How often each job was polled."""
        self.accepted: Counter[str] = Counter()
        """How often each request was accepted, by its digest."""
        self._acceptances: Counter[tuple[str, str]] = Counter()
        self._running: list[tuple[float, int, ProviderJob]] = []

    def account(self, account_id: str) -> Account:
        """Return an account; it is opened when first used."""
        account = self.accounts.get(account_id)
        if account is None:
            account = self.accounts[account_id] = Account(account_id, *self._opening)
        return account

    def top_up(self, account: Account, paid: Decimal, promo: Decimal) -> None:
        """Add credit."""
        account.paid += paid
        account.promo += promo

    def next_number(self) -> int:
        """Return the number of the next job."""
        return len(self.jobs) + 1

    def next_acceptance(self, account: Account, digest: str) -> int:
        """Return how often this request will have been accepted for the account, including the next time."""
        return self._acceptances[account.id, digest] + 1

    def accept(self, job: ProviderJob) -> None:
        """Enter a job and its charge."""
        self.enter(job)

    def enter(self, job: ProviderJob, *, ended: bool = False) -> None:
        """Enter a job; `ended`: its end has already been entered."""
        account = self.account(job.account)
        account.charged += job.cost
        account.accepted += 1
        self.accepted[job.digest] += 1
        self._acceptances[job.account, job.digest] += 1
        if self._acceptances[job.account, job.digest] == 2:
            account.duplicates += 1
        self.jobs[job.id] = job
        if not ended and not math.isinf(job.ends_at):
            heapq.heappush(self._running, (job.ends_at, job.number, job))

    def settle(self, now: float) -> list[ProviderJob]:
        """Enter the end of every job that has ended by now, and return those that were refunded with it."""
        refunded = []
        while self._running and self._running[0][0] <= now:
            job = heapq.heappop(self._running)[2]
            account = self.accounts[job.account]
            if refund := job.refund(now):
                account.refunded += refund
            if job.status(now) == "failed":
                account.failed += 1
                refunded.append(job)
            else:
                account.completed += 1
        return refunded

    def unfinished(self) -> Iterator[ProviderJob]:
        """Yield the jobs that the provider is still working on, in the order in which they end."""
        return (job for _, _, job in sorted(self._running, key=lambda entry: entry[:2]))

    def net(self, now: float) -> Decimal:
        """Return what all accounts together have paid by now: charges less refunds, USD."""
        self.settle(now)
        return sum((account.charged - account.refunded for account in self.accounts.values()), Decimal(0))

    def totals(self, now: float, accounts: Iterable[Account] | None = None) -> Totals:
        """Return the sums over `accounts`, by default over all of them."""
        self.settle(now)
        chosen = list(self.accounts.values() if accounts is None else accounts)

        def money(name: str) -> Decimal:
            return sum((getattr(account, name) for account in chosen), Decimal(0))

        def count(name: str) -> int:
            return sum(getattr(account, name) for account in chosen)

        charged, refunded = money("charged"), money("refunded")
        accepted, completed, failed = count("accepted"), count("completed"), count("failed")
        return Totals(
            balance=money("balance"),
            promo=money("promo"),
            paid=money("paid"),
            charged=charged,
            refunded=refunded,
            net=charged - refunded,
            accepted=accepted,
            completed=completed,
            failed=failed,
            in_progress=accepted - completed - failed,
            duplicates=count("duplicates"),
        )
