"""Who is trained for how long: a race that costs two trainings, and takes the better arm at every fork."""

import pytest

from worker.outcome import Candidate, Scores, ranked
from worker.race import RATES, Arm, race, trials
from worker.resume import Progress


def arms(shapes):
    return [Arm(name, shape, rate) for name, shape in shapes for rate in RATES]


MANY = arms([*(("flat", f"flat-{d}") for d in range(1, 6)), ("scaled", "scaled-1"), ("scratch", "scratch")])


def run(given, steps, loss, pilot=None):
    """All trials of a race in which `loss(arm)` is what a training ends with."""
    running = race(given, steps, pilot)
    done = [next(running)]
    while True:
        try:
            done.append(running.send(loss(done[-1].arm)))
        except StopIteration:
            return done


@pytest.mark.parametrize("steps", [300, 10_000])
def test_it_costs_less_than_two_trainings(steps):
    assert sum(trial.steps for trial in trials(MANY, steps)) <= 2 * steps
    assert sum(trial.steps for trial in trials(arms([("found", "found")]), steps)) <= 1.3 * steps


def test_the_best_arm_comes_through_where_short_trainings_tell_the_truth():
    best = Arm("flat", "flat-3", RATES[1])
    done = run(MANY, 1000, lambda arm: 0.0 if arm == best else 1.0 + MANY.index(arm))
    assert done[-1].final
    assert done[-1].steps == 1000
    assert done[-1].arm == best
    assert sum(trial.final for trial in done) == 1


def test_every_shape_is_seen_at_every_rate_and_every_name_twice():
    done = run(MANY, 1000, lambda arm: arm.lr)
    assert {trial.arm for trial in done} == set(MANY)
    for name in ("flat", "scaled", "scratch"):
        assert len({trial.steps for trial in done if trial.arm.name == name}) >= 3
    assert done[-1].arm.lr == RATES[0], "the smallest loss is that of the smallest rate"


def test_a_pilot_settles_the_rate_for_all_and_leaves_longer_trials():
    best = Arm("flat", "flat-3", RATES[1])

    def loss(arm):
        return abs(arm.lr - RATES[1]) + (0.0 if arm.shape == best.shape else 0.5)

    done = run(MANY, 1000, loss, pilot="scaled-1")
    assert [trial.arm for trial in done[:3]] == [Arm("scaled", "scaled-1", rate) for rate in RATES]
    assert {trial.arm.lr for trial in done[3:]} == {RATES[1]}
    assert {trial.arm.shape for trial in done[3:]} == {arm.shape for arm in MANY}
    assert done[-1].arm == best
    assert done[-1].final
    assert sum(trial.steps for trial in done) <= 1.95 * 1000
    assert min(trial.steps for trial in done) > 3 * min(trial.steps for trial in run(MANY, 1000, loss))
    assert [trial.steps for trial in trials(MANY, 1000, "scaled-1")] == [trial.steps for trial in done]


def test_a_lone_arm_is_trained_at_once():
    (trial,) = trials([Arm("scratch", "scratch", 1.0)], 70)
    assert (trial.steps, trial.final) == (70, True)


def test_what_was_trained_to_the_end_says_so_however_short_that_is():
    assert {trial.final for trial in run(MANY, 1, lambda arm: arm.lr)} == {True}
    assert [trial.final for trial in run(MANY, 5, lambda arm: arm.lr)] == [
        trial.steps == 5 for trial in trials(MANY, 5)
    ]


def test_what_was_planned_is_what_is_done():
    planned = trials(MANY, 500)
    done = run(MANY, 500, lambda arm: hash(arm) % 97)
    assert [t.steps for t in planned] == [t.steps for t in done]


def test_arms_that_diverge_are_left_behind():
    done = run(MANY, 1000, lambda arm: 1.0 if arm.lr == RATES[0] else float("inf"))
    assert done[-1].arm.lr == RATES[0]


def test_a_trial_that_was_better_than_the_whole_training_is_what_is_delivered():
    now = Progress(path=None)

    def candidate(steps: int, loss: float, *, full: bool) -> Candidate:
        return Candidate("found", 1, None, 0.01, steps, steps / 10, full, Scores(loss, 0.0))

    now.keep(candidate(10, 0.5, full=False))
    now.keep(candidate(20, 0.3, full=False))
    now.keep(candidate(80, 0.4, full=True))
    kept = now.candidates["found", 1]
    assert (kept.steps, kept.validation.loss, kept.full) == (20, 0.3, True)
    now.keep(candidate(80, 0.2, full=True))
    assert now.candidates["found", 1].steps == 80


def test_a_lucky_trial_of_what_was_left_behind_wins_nothing():
    def candidate(name: str, loss: float, *, full: bool) -> Candidate:
        return Candidate(name, 1, None, 0.01, 10, 1.0, full, Scores(loss, 0.0))

    told = [
        candidate("flat", 0.1, full=False),
        candidate("found", 0.3, full=True),
        candidate("scratch", 0.2, full=True),
    ]
    assert [contender.name for contender in ranked(told)] == ["scratch", "found", "flat"]
