"""Pictures of a portfolio: wealth, drawdown and weights, day by day."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.problems.portfolio import F64, TradingPeriod


def drawdown(wealth: F64) -> F64:
    """(T,) share that is lost since the highest wealth so far, of wealth (T,)."""
    lost: F64 = 1.0 - wealth / np.maximum.accumulate(wealth)
    return lost


def summary(period: TradingPeriod, wealth: F64) -> str:
    """One line: the name, the day, the wealth by that at first, and the largest drawdown."""
    days = len(wealth) - 1
    date = period.dates[period.history + days]
    fall = drawdown(wealth).max()
    return f"{period.name}: day {days} of {period.n_days}, {date}, wealth {wealth[-1]:.4f}, drawdown {fall:.1%}"


def portfolio_figure(period: TradingPeriod, weights: F64, wealth: F64) -> Any:
    """A matplotlib ``Figure`` of the first days' weights (T', N + 1) after each trade and wealth (T' + 1,).

    Wealth above, beside equal weight without costs; the drawdown; the weights of the assets stacked, cash white.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    dates = period.dates[period.history :]
    figure = Figure(figsize=(8, 6), layout="constrained")
    above, middle, below = figure.subplots(3, sharex=True, height_ratios=(3, 1, 2))
    above.set_title(summary(period, wealth), fontsize=8)
    equal = np.concatenate([[1.0], np.cumprod(period.growth[:, :-1].mean(1))])
    above.plot(dates, equal, color="0.6", lw=1, label="equal weight, no costs")
    above.plot(dates[: len(wealth)], wealth, lw=1.5, label="portfolio")
    above.set(ylabel="wealth", xlim=(dates[0], dates[-1]))
    above.legend(loc="upper left", fontsize=7)
    middle.fill_between(dates[: len(wealth)], -drawdown(wealth), step="post", color="tab:red", alpha=0.5)
    middle.set(ylabel="drawdown")
    if len(weights):
        held = np.vstack([weights, weights[-1:]])[:, :-1].T  # a weight is held from its day to the next
        shades = colormaps["tab20"](np.arange(period.n_assets) % 20)
        below.stackplot(dates[: len(wealth)], held, colors=shades, step="post", labels=period.assets)
        if period.n_assets <= 20:
            below.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=5, ncols=1 + period.n_assets // 11)
    below.set(ylabel="weights of assets", ylim=(0, max(1.0, 1.0 - period.minimum_cash)))
    for label in below.get_xticklabels():
        label.set_fontsize(7)
    return figure


def frame(period: TradingPeriod, weights: F64, wealth: F64) -> NDArray[np.uint8]:
    """The figure as an (H, W, 3) uint8 image, of one size over an episode."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(portfolio_figure(period, weights, wealth))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def portfolio_text(period: TradingPeriod, weights: F64, wealth: F64) -> str:
    """The summary, and the largest positions after the last trade with a bar each."""
    lines = [summary(period, wealth)]
    if len(weights):
        names = [*period.assets, "cash"]
        lines += [
            f"{names[i]:>12} {weights[-1, i]:7.2%} |{'#' * round(50 * max(weights[-1, i], 0.0))}"
            for i in np.argsort(-weights[-1], kind="stable")[:10].tolist()
        ]
    return "\n".join(lines)
