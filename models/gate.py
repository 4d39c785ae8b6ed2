"""Whether a challenger becomes the champion. A pure decision over what was measured; every reason is a row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from contracts.settings import Gate
from models.evaluation import ALL, GATE
from models.metrics import Estimate

BASELINES = "baseline/"
"""What the names of baselines begin with."""
PROMOTED, KEPT_OUT = "promoted", "kept out"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    rival: str  # a model, or baseline/<name>
    segment: str
    metric: str
    value: float  # the challenger's minus the rival's; of coverage and diversity the challenger's over the rival's
    low: float  # 95% interval; NaN where there is none
    high: float
    bound: float  # what the value, or its interval, must not be below
    passed: bool
    critical: bool  # a failure keeps the challenger out
    text: str  # in words


@dataclass(frozen=True)
class Decision:
    """The outcome and its reasons, the deciding ones first."""

    promoted: bool
    why: str
    checks: tuple[Check, ...]


def decide(
    gains: Mapping[str, Mapping[str, Estimate]],
    own: Mapping[str, float],
    of_champion: Mapping[str, float] | None,
    champion: str | None,
    popular: str,
    bounds: Gate,
) -> Decision:
    """The decision.

    With a champion, the challenger must lose to neither the champion nor the best baseline: the paired interval of its
    gain in NDCG@10 has to lie above ``-max_loss``. Nor may it lose in a guarded segment, in coverage or in diversity,
    beyond their bounds. Without a champion nobody gets anything: then it is enough to be better than the popular list
    on average, which a small shop can tell of its first model. What that leaves open is said all the same.

    Args:
        gains: Of the challenger over all others, by name and segment: paired differences of NDCG@10.
        own: The challenger's metrics of all users, ``coverage@10`` and ``diversity@10`` among them.
        of_champion: The same of the champion.
        champion: The champion; None where there is none.
        popular: Name of the popular baseline.
        bounds: Of the settings.
    """
    # the best baseline is the one over which the gain is smallest; the texts alone are parts of the challenger
    baselines = {name: of_rival[ALL].mean for name, of_rival in gains.items() if name.startswith(BASELINES)}
    best = min(baselines, key=lambda name: (baselines[name], name))
    if champion is None:
        checks = [_first(gains[popular][ALL], popular, -bounds.max_loss)]
        if best != popular:
            checks.append(_gain(gains[best][ALL], best, -bounds.max_loss, critical=False))
    else:
        checks = [_gain(gains[best][ALL], best, -bounds.max_loss, critical=True)]
        checks.append(_gain(gains[champion][ALL], champion, -bounds.max_loss, critical=True))
        checks += [
            _segment(gains[champion][segment], champion, segment, -loss)
            for segment, loss in sorted(bounds.guarded.items())
            if segment in gains[champion] and gains[champion][segment].users
        ]
        checks += [
            _ratio(metric, own[metric], (of_champion or {})[metric], champion, 1 - loss)
            for metric, loss in (
                ("coverage@10", bounds.max_coverage_loss), ("diversity@10", bounds.max_diversity_loss),
            )
            if metric in own and metric in (of_champion or {})
        ]  # fmt: skip
    kept_out = [check for check in checks if check.critical and not check.passed]
    if kept_out:
        why = "; ".join(check.text for check in kept_out)
    elif champion is None:
        why = f"there is no champion to compare with; {'; '.join(check.text for check in checks)}"
    else:
        why = "; ".join(check.text for check in checks if check.segment == ALL and check.metric == GATE)
    return Decision(not kept_out, why, tuple(checks))


def _gain(gain: Estimate, rival: str, bound: float, *, critical: bool) -> Check:
    """Over all users: the whole interval has to lie above the bound."""
    passed = not math.isnan(gain.low) and gain.low > bound
    if not gain.users:
        text = f"nobody could be judged against {rival}"
    else:
        told = f"{gain.mean:+.4f} ({gain.low:+.4f} … {gain.high:+.4f}, {gain.users:,} users) over {rival}"
        text = told if passed else f"{told}: a loss of {-bound:g} cannot be excluded"
    return Check(rival, ALL, GATE, gain.mean, gain.low, gain.high, bound, passed, critical, text)


def _first(gain: Estimate, popular: str, bound: float) -> Check:
    """Of a model without a champion before it: better on average is enough."""
    check = _gain(gain, popular, bound, critical=True)
    return replace(check, passed=check.passed or gain.mean > 0)


def _segment(gain: Estimate, rival: str, segment: str, bound: float) -> Check:
    """Of a part of the users or items, which is small: only a loss that is established keeps a challenger out."""
    passed = not gain.high < bound
    told = f"{gain.mean:+.4f} ({gain.low:+.4f} … {gain.high:+.4f}) over {rival} in {segment}"
    text = told if passed else f"{told}: a loss beyond {-bound:g}"
    return Check(rival, segment, GATE, gain.mean, gain.low, gain.high, bound, passed, True, text)


def _ratio(metric: str, own: float, rivals: float, rival: str, bound: float) -> Check:
    """Coverage and diversity, as a share of the rival's."""
    ratio = own / rivals if rivals else 1.0
    passed = math.isnan(ratio) or ratio >= bound
    told = f"{metric} is {ratio:.0%} of that of {rival}"
    text = told if passed else f"{told}, less than {bound:.0%}"
    return Check(rival, ALL, metric, ratio, math.nan, math.nan, bound, passed, True, text)


def in_words(decision: Decision) -> Sequence[str]:
    """A line for each check."""
    return [f"{'passed' if check.passed else 'failed'}: {check.text}" for check in decision.checks]
