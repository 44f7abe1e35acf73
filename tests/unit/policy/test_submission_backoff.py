"""How long submissions hold back when the provider says it is busy."""

from batchgen.policy.submission_backoff import SubmissionBackoff


def test_busy_answers_to_requests_that_left_together_count_once() -> None:
    hold = SubmissionBackoff()
    for _ in range(16):
        hold = hold.busy(100.0, 5.0)
    assert (hold.streak, hold.until, hold.since) == (1, 105.0, 100.0)
    hold = hold.busy(104.9, 1.0)
    assert (hold.streak, hold.until) == (1, 105.9), "it left before the wait began"
    hold = hold.busy(105.9, 5.0)
    assert (hold.streak, hold.since) == (2, 100.0)


def test_the_longest_wait_holds() -> None:
    assert SubmissionBackoff().busy(0.0, 30.0).busy(1.0, 2.0).until == 30.0
    assert SubmissionBackoff().busy(0.0, 30.0).wait(0.0, 60.0).until == 60.0


def test_an_answer_ends_the_streak_and_not_the_wait() -> None:
    hold = SubmissionBackoff().busy(0.0, 30.0).answered()
    assert (hold.since, hold.streak, hold.until) == (None, 0, 30.0)
    assert hold.stops_at(1800.0) is None
    assert SubmissionBackoff().busy(7.0, 30.0).stops_at(1800.0) == 1807.0
