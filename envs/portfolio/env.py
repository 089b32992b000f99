"""``optgap/Portfolio-v0``: the single environment."""

from __future__ import annotations

from optgap.envs.batched import BatchedEnv
from optgap.envs.portfolio.batch import PortfolioBatch
from optgap.envs.portfolio.config import PortfolioConfig


class PortfolioEnv(BatchedEnv):
    """Wealth is spread over assets and cash anew at the close of every day, against costs of trading.

    ## Description
    N assets and cash, which is last in every array. At the close of a day the agent says which shares of its wealth the
    assets are to have; the trade costs a share ``proportional_cost`` of what is bought or sold, and ``fixed_cost`` for each asset
    traded; then the prices of the next day's close, and the interest of cash, make the new wealth. The wealth after a
    trade is the exact solution of the equation that the costs give, applied to the holdings as they have drifted.
    ``optgap.co.problems.portfolio`` is the definition. No short sales; money is borrowed only with a negative ``minimum_cash``.

    The built-in prices are of 20 stocks that were in the S&P 500 and large in 2022: every return earned with them
    flatters (survivorship). They need the extra ``finance``. The default days end with 2011; later ones are for tests.

    ## Action space
    ``action="softmax"``: ``Box(logit_low, logit_high, (N + 1,), float32)``, logits, clipped to these bounds. With s their softmax
    the target is w = (1 - m) s, and m more of cash, where m is ``minimum_cash``. Bounds of 0 and 1 are those of arXiv
    2412.18563: of 11 weights none can exceed 21% then, or fall below 4%.

    ``action="weights"``: weights (N + 1,), float32; ``projected=True`` (``Box``) takes the nearest allowed ones for any, with
    ``projected=False`` (``ConstrainedBox``) others than allowed ones (up to 1e-6) raise :class:`InvalidActionError`. Weights within
    1e-6 of those before the trade mean no trade.

    In each case the target then keeps the limits: none is bought above ``cap``, cash does not go below ``minimum_cash`` (what
    has drifted beyond may stay), by the nearest weights; and of a ``turnover`` above its limit only the part of the way from the
    weights before the trade that reaches it is gone. Cash is what is missing to 1: rounding creates no money. NaN, and
    numbers beyond 1e6, raise :class:`InvalidActionError`; nothing has changed then.

    ## Observation space
    ``Box(-100, 100, (F, window + 1, N), float32)``, clipped. Of each feature the rows 0 .. window - 1 are days, the oldest first
    and the last that of the decision (``lag`` days before it):

    | feature | of a day and an asset |
    |---|---|
    | return | log return of the day, by the standard deviation of all returns in the window (at least 1e-8) |
    | close, open, high, low | price by the latest close of the asset, p_(t-k) / p_t |

    Row ``window`` holds the weights of the assets before the trade (the share of cash is what is missing to 1), in each
    feature alike. With a lag: after the trade at the latest close that is seen. Nothing depends on a later day.

    ## Reward
    V is the wealth before the trade of a day, V' that of the next; R = V' / V - 1 - interest of cash, the excess return;
    r = log(V' / V). Ruin (V' = 0) counts as r = log 1e-6.

    | reward | of a step |
    |---|---|
    | "log-return" | r; the undiscounted return is ``PORTFOLIO.cost(instance, solution)`` up to rounding, but in ruin |
    | "differential-sharpe" | (B dA - A dB / 2) / (B - A^2)^(3/2), dA = R - A, dB = R^2 - B (*) |
    | "average-sharpe" | sqrt(252) mean / deviation of R over the episode so far, by its length T; 0 on the first day (**) |
    | "cvar" | r - ``risk_weight`` (z + max(0, -r - z) / (1 - ``risk_level``)) (***) |

    (*) Moody and Saffell, Learning to trade via direct reinforcement (2001): the derivative by the decay of the Sharpe ratio of
    moments that forget. Before the step A and B are those of the days before; then each moves by ``decay`` dA and dB. At
    first A = 0, B = 1e-4. B - A^2 counts as at least 1e-16.
    (**) The reward of arXiv 2412.18563. The deviation has n - 1 in its denominator, and is at least 1e-8.
    (***) Rockafellar and Uryasev, Optimization of conditional value-at-risk (2000): the least z + E max(0, L - z) /
    (1 - level) over z is the CVaR of the loss L = -r, reached where z is the value at risk. Here z is 0.015 at first; after
    the step it falls by 0.002 (1 - level) where the loss was at most z, and rises by 0.002 level where it was larger: the
    stochastic approximation of the quantile (Robbins and Monro, 1951).

    ## Episode
    ``episode`` days from a uniformly random first day on, all of them from ``begin`` to ``end``; the window of the first
    decision may reach before ``begin``, nothing after ``end`` is seen or traded. ``episode=None``: from ``begin`` (or the first
    day with enough history) to ``end``. It begins with all wealth in cash. Truncated after the last day: the task goes on.
    Terminates in ruin, which takes borrowed money or fixed costs.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | prices | "sp500" | or "markov", a file, :class:`Prices`: see :func:`optgap.envs.portfolio.prices.load_prices` |
    | assets | None | names of the assets to hold, in this order; None: all |
    | begin, end | "1990-01-02", "2011-12-30" | first and last day of episodes; None: of the prices |
    | episode | 128 | days, or None |
    | features | ("return", "close") | see above |
    | window | 50 | days that are seen, at least 2 |
    | lag | 0 | days by which the observation is older than the trade |
    | action | "softmax" | or "weights" |
    | logit_low, logit_high | -10, 10 | of "softmax" |
    | projected | True | of "weights" |
    | reward | "log-return" | see above |
    | decay | 0.01 | of "differential-sharpe" |
    | risk_weight, risk_level | 1, 0.95 | of "cvar" |
    | proportional_cost | 0.0025 | share of what is bought or sold |
    | fixed_cost | 0 | for each asset traded, by the wealth at first |
    | cap | 1 | largest share of an asset that is bought |
    | minimum_cash | 0 | smallest share of cash; negative: money may be borrowed, at the rate of cash |
    | turnover | None | largest sum of changes of the assets' shares in a trade |
    | cash | None | interest of cash a year; None: that of the prices, 0 where they have none |

    ``reset(options={"instance": period})`` plays a :class:`optgap.co.problems.portfolio.TradingPeriod` of as many assets,
    with its own prices, history (at least window + lag rows), costs and limits.

    ## Info
    Of the episode so far: ``wealth`` (1 at first), ``turnover`` (mean of a trade: sum over the assets of |weight after -
    before|), ``paid`` (costs, by the wealth at first); ``instance`` (name); at the end ``solution``, the (T, N + 1) float64
    weights that ``PORTFOLIO.check`` takes. ``env.unwrapped.batch.period(0)`` is the instance that they solve.

    ## Version history
    v0: first version.
    """

    options_class = PortfolioConfig
    batch: PortfolioBatch
