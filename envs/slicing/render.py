"""Pictures of slicing: the shares of the band and the queues, decision by decision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.dynamics.slicing import replay
from optgap.co.problems.slicing import SlicingInstance
from optgap.co.problems.slicing_traffic import cost_names


def summary(instance: SlicingInstance, played: dict[str, NDArray[Any]]) -> str:
    """One line: the name, how far the trace is played, the sum of rewards and the mean of each cost."""
    steps, names = len(played["reward"]), cost_names(instance.slices)
    text = f"{instance.name}: decision {steps} of {instance.n_decisions}"
    if not steps:
        return text
    costs = ", ".join(f"{name} {mean:.3g}" for name, mean in zip(names, played["cost"].mean(0), strict=True))
    return f"{text}, reward {sum(played['reward'].tolist()):.4g}; means: {costs}"


def slicing_figure(instance: SlicingInstance, solution: Any, title: str | None = None) -> Any:
    """A matplotlib ``Figure`` of shares (T', S), which may be those of the first decisions only.

    Bars of the shares above, packets waiting at the end of each decision below.
    """
    from matplotlib.figure import Figure

    played = replay(instance, solution)
    shares, steps = np.asarray(solution, np.float64), np.arange(len(played["reward"]))
    figure = Figure(figsize=(8, 6), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    above.set_title(title or summary(instance, played).replace("; ", "\n"), fontsize=7)
    bottom = np.zeros(len(steps))
    for s, name in enumerate(instance.slices):
        above.bar(steps, shares[:, s], 1.0, bottom, label=name)
        below.step(steps, played["waiting"][:, s], where="mid", label=name)
        bottom += shares[:, s]
    above.set(ylabel="share of the band", ylim=(0, 1), xlim=(-0.5, instance.n_decisions - 0.5))
    below.set(xlabel="decision", ylabel="packets waiting", ylim=(0, None))
    above.legend(loc="upper right", fontsize=8)
    return figure


def frame(instance: SlicingInstance, solution: Any) -> NDArray[np.uint8]:
    """The figure as an (H, W, 3) uint8 image, of one size over an episode."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(slicing_figure(instance, solution))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def slicing_text(instance: SlicingInstance, solution: Any, width: int = 80) -> str:
    """The last decisions in characters, ``width`` wide: a bar of the shares and the packets waiting of each slice."""
    played, shares = replay(instance, solution), np.asarray(solution, np.float64)
    lines = [summary(instance, played), "shares of " + ", ".join(f"{n[0]} {n}" for n in instance.slices)]
    bar = max(width - 8 * instance.n_slices - 8, 10)
    for t in range(max(0, len(shares) - 20), len(shares)):
        ends = np.minimum(np.round(np.cumsum(shares[t]) * bar).astype(int), bar)
        sizes = np.diff(ends, prepend=0)
        drawn = "".join(name[0] * n for name, n in zip(instance.slices, sizes.tolist(), strict=True))
        lines.append(f"{t:5d} |{drawn:<{bar}}|" + "".join(f"{n:8d}" for n in played["waiting"][t].tolist()))
    return "\n".join(lines)
