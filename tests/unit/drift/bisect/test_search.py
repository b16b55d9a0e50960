"""The search is held to every answer it can give, with a bench that installs nothing."""

import itertools
import math
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstitch.drift.bisect import search
from lockstitch.drift.bisect.model import Fails, Metric, Mixture, Outcome, Question, Scale, Verdict
from lockstitch.drift.bisect.search import Answer, Spent, Trials

NO_NUMBER = Fails(reason="ImportError: cannot import name 'x'")
Rule = Callable[[Mixture], Outcome]


class Bench:
    """Gives what a rule says, and counts."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.asked: list[Mixture] = []

    def run(self, mixture: Mixture, repeat: int = 0) -> Outcome:
        assert repeat == 0, "only the ends are repeated"
        self.asked.append(mixture)
        return self.rule(mixture)


def causes(count: int) -> tuple[str, ...]:
    return tuple(f"c{number:02}" for number in range(count))


def trials(
    bench: Bench, names: tuple[str, ...], *, limit: int = 10_000, parallel: int = 1
) -> Trials:
    everything = frozenset(names)
    known = {frozenset[str](): bench.rule(frozenset()), everything: bench.rule(everything)}
    first = known[frozenset()]
    assert isinstance(first, Metric)
    scale = Scale.of([first.value] * 2, known[everything], least=0.0)
    return Trials(bench, scale, known=known, limit=limit, parallel=parallel)


def found(
    rule: Rule,
    count: int,
    *,
    weights: Mapping[str, float] | None = None,
    implied: Mapping[str, Mixture] | None = None,
    parallel: int = 1,
) -> tuple[Answer, Bench]:
    names, bench = causes(count), Bench(rule)
    question = Question(causes=names, implied=implied or {}, weights=weights or {})
    answer = search.find(question, trials(bench, names, parallel=parallel))
    assert len({*bench.asked}) == len(bench.asked), "no mixture is run twice"
    return answer, bench


def needs(*wanted: str) -> Rule:
    """Return a rule by which the number changes when all of these are as in B."""
    return lambda mixture: Metric(value=float({*wanted} <= mixture))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 49])
@pytest.mark.parametrize("likely", [0, 6])
def test_any_one_cause(count: int, likely: int) -> None:
    weights = dict.fromkeys(causes(count)[:likely], 16.0)
    most = search.most(Question(causes=causes(count), implied={}, weights=weights))
    for cause in causes(count):
        answer, bench = found(needs(cause), count, weights=weights)
        assert answer.sets == (frozenset({cause}),)
        assert answer.explains
        assert len(bench.asked) <= most
    # Halves of equals, the last one alone, and everything without it.
    assert likely or most <= math.ceil(math.log2(count)) + 2


def test_a_likely_one_takes_fewer_runs_than_the_others_together() -> None:
    weights = dict.fromkeys(causes(153)[:4], 16.0) | dict.fromkeys(causes(153)[4:20], 2.0)
    weights |= dict.fromkeys(causes(153)[20:], 0.02)
    runs = [len(found(needs(c), 153, weights=weights)[1].asked) for c in causes(153)]
    assert max(runs[:4]) <= 5
    assert max(runs[:20]) <= 8
    assert max(runs) <= 15


def test_the_first_guess_takes_two_runs() -> None:
    answer, bench = found(needs("c00"), 49, weights={"c00": 50.0})
    assert answer.explains
    assert bench.asked == [frozenset({"c00"}), frozenset(causes(49)) - {"c00"}]


@pytest.mark.parametrize("parallel", [1, 3])
def test_any_two_that_only_act_together(parallel: int) -> None:
    for pair in itertools.combinations(causes(11), 2):
        answer, _ = found(needs(*pair), 11, parallel=parallel)
        assert answer.sets == (frozenset(pair),)
        assert answer.explains


def test_any_two_of_which_each_does_a_part() -> None:
    for one, other in itertools.combinations(causes(9), 2):

        def rule(mixture: Mixture, one: str = one, other: str = other) -> Outcome:
            return Metric(value=0.3 * (one in mixture) + 0.7 * (other in mixture))

        answer, _ = found(rule, 9)
        assert answer.sets == (frozenset({one, other}),)
        assert answer.explains


def test_any_two_of_which_each_is_enough() -> None:
    for pair in itertools.combinations(causes(9), 2):
        answer, _ = found(lambda m, pair=pair: Metric(value=float(bool({*pair} & m))), 9)
        assert {*answer.sets} == {frozenset({each}) for each in pair}
        assert answer.explains


def test_what_is_left_without_it_is_said() -> None:
    # One cause moves it to 1, another undoes half of that, a third the other half of that half.
    def rule(mixture: Mixture) -> Outcome:
        value = 1.0 if "c01" in mixture else 0.5 if "c05" in mixture else 0.0
        return Metric(value=value)

    answer, _ = found(rule, 7)
    assert answer.sets == (frozenset({"c01"}),)
    assert (answer.rest, answer.explains) == (Verdict.NEITHER, False)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_one_cause_among_packages_that_need_each_other(data: st.DataObject) -> None:
    names = causes(data.draw(st.integers(2, 14)))
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names))))
    implied: dict[str, Mixture] = {}
    for one, other in pairs:
        if one < other:  # no circle: those are one cause already
            implied[one] = implied.get(one, frozenset()) | {other}
    cause = data.draw(st.sampled_from(names))
    question = Question(causes=names, implied=implied)

    def rule(mixture: Mixture) -> Outcome:
        return (
            Metric(value=float(cause in mixture))
            if mixture == question.closed(mixture)
            else NO_NUMBER
        )

    answer, _ = found(rule, len(names), implied=implied)
    # It comes with what it cannot be without, and with nothing else.
    assert answer.sets == (question.closed(frozenset({cause})),)
    assert rule(answer.without) == Metric(value=0.0) or not answer.without
    assert answer.explains


@pytest.mark.slow
@given(st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_the_mixtures_give(data: st.DataObject) -> None:
    """Each set that is named changes the number, and no part of it with one cause less does."""
    names = causes(data.draw(st.integers(1, 8)))
    outcomes = {frozenset[str](): Metric(value=0.0), frozenset(names): Metric(value=1.0)}
    choices = st.sampled_from([Metric(value=0.0), Metric(value=1.0), Metric(value=0.4), NO_NUMBER])

    def rule(mixture: Mixture) -> Outcome:
        if mixture not in outcomes:
            outcomes[mixture] = data.draw(choices)
        return outcomes[mixture]

    weights = {name: data.draw(st.sampled_from([0.02, 1.0, 16.0])) for name in names}
    answer, bench = found(rule, len(names), weights=weights)
    moved = Metric(value=1.0)
    taken: set[str] = set()
    for each in answer.sets:
        assert rule(each) == moved
        assert not taken & each
        taken |= each
        if len(each) > 1:
            assert all(rule(each - {cause}) != moved for cause in each)
    assert outcomes[answer.without] != moved
    assert answer.explains == (outcomes[answer.without] == Metric(value=0.0))
    assert len(bench.asked) < 2 ** len(names)


def test_what_does_not_import_is_stepped_over() -> None:
    # Nothing imports between three and nine causes, and nobody knows why.
    def rule(mixture: Mixture) -> Outcome:
        return NO_NUMBER if 2 < len(mixture) < 10 else Metric(value=float("c06" in mixture))

    answer, _ = found(rule, 12)
    assert answer.sets == (frozenset({"c06"}),)
    assert answer.explains


def test_a_failure_is_what_is_looked_for() -> None:
    def rule(mixture: Mixture) -> Outcome:
        if "c03" in mixture:
            return Fails(reason="AttributeError: no attribute 'product' at 0x7f00aa, line 12")
        return NO_NUMBER if "c01" in mixture and "c02" not in mixture else Metric(value=0.8)

    answer, _ = found(rule, 6)
    assert answer.sets == (frozenset({"c03"}),)
    assert answer.explains


def test_no_more_runs_than_allowed() -> None:
    names, bench = causes(30), Bench(needs("c17", "c23"))
    spent = trials(bench, names, limit=8)
    with pytest.raises(Spent):
        search.find(Question(causes=names, implied={}), spent)
    assert len(bench.asked) == 8
    smallest = spent.smallest()
    assert smallest is not None
    assert {"c17", "c23"} <= smallest < frozenset(names)


# --- the scale


def test_noise_is_no_difference() -> None:
    after = Metric(value=0.90)
    scale = Scale.of([0.80, 0.81, 0.805], after, least=0.0)
    assert (scale.before, scale.noise) == (0.805, pytest.approx(0.01))
    assert scale.differs
    verdicts = {0.79: "AS_A", 0.82: "AS_A", 0.85: "NEITHER", 0.91: "AS_B"}
    assert {v: scale.verdict(Metric(value=v)).name for v in verdicts} == verdicts
    assert not Scale.of([0.80, 0.90, 0.95], Metric(value=0.99), least=0.0).differs
    assert not Scale.of([0.80, 0.80], after, least=0.1).differs


def test_a_wide_noise_still_has_two_ends() -> None:
    scale = Scale.of([0.0, 0.4], Metric(value=1.0), least=0.0)
    assert scale.before == 0.4
    assert not scale.differs
    scale = Scale.of([0.0, 0.2], Metric(value=0.7), least=0.0)
    assert scale.verdict(Metric(value=0.44)) is Verdict.AS_A
    assert scale.verdict(Metric(value=0.46)) is Verdict.AS_B


def test_the_last_digits_are_no_difference() -> None:
    scale = Scale.of([0.82, 0.82], Metric(value=0.8715), least=0.0)
    assert scale.verdict(Metric(value=0.8715000001)) is Verdict.AS_B
    assert scale.verdict(Metric(value=0.8199999999)) is Verdict.AS_A
    assert scale.verdict(Metric(value=0.84)) is Verdict.NEITHER


@pytest.mark.parametrize("after", [math.nan, math.inf])
def test_what_is_no_finite_number(after: float) -> None:
    scale = Scale.of([0.5, 0.5], Metric(value=after), least=0.0)
    assert scale.differs
    assert scale.verdict(Metric(value=after)) is Verdict.AS_B
    assert scale.verdict(Metric(value=0.5)) is Verdict.AS_A
    assert scale.verdict(Metric(value=7.0)) is Verdict.NEITHER
    assert not Scale.of([after, after], Metric(value=after), least=0.0).differs
