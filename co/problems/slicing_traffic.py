"""Traffic of the slices of a cell: when packets come, how large they are, how soon they are due.

Sources: VoLTE, video and URLLC as in Hua et al. 2019 (GAN-DDQN, arXiv 1905.03929, table of traffic models): times and
sizes of video are the Pareto laws of 3GPP2 C.R1002 (near-real-time video, shape 1.2), whose minima of 2.5 ms and 40 B give
the published means of 6 ms and 100 B; best effort is 3GPP's FTP model 3 (TR 36.889: files of 0.5 MB, Poisson arrivals) at
one file in two seconds. The deadlines of voip and video are the paper's latency bounds. Its bound of 1 ms for URLLC cannot
be met by packets of 0.3 to 0.7 MB (one of 0.5 MB takes some 20 ms of the whole band), so the deadline is 100 ms here. Best
effort has 1 s. The weights of voip, video and URLLC are the paper's (1, 4, 6).

The default cell is chosen here. 47 : 47 : 6 users: each URLLC user asks for 22 Mb/s, and 100 users in equal parts would ask for
four times what 10 MHz carry. Video at four times the published rate (0.55 Mb/s a user, a picture of today): otherwise all
slices but URLLC together need a twentieth of the band. So the three slices load the band to about 80% on average, 0.1%, 13%
and 65%, and beyond it where their peaks meet. The default limits are such that the equal share and the shares proportional
to demand break some, and a rule that follows the demand of the small slices with a margin keeps all.
"""

from __future__ import annotations

from dataclasses import dataclass

from optgap.co.core import InputError


@dataclass(frozen=True)
class Law:
    """A distribution of positive numbers.

    ``uniform`` (low, high), ``pareto`` (shape, minimum, cap: larger draws are the cap), ``exponential`` (mean),
    ``constant`` (value), ``steps`` (low, high, count: one of ``count`` evenly spaced values, both ends among them).
    """

    kind: str
    parameters: tuple[float, ...]

    def mean(self) -> float:
        """Expectation."""
        a = self.parameters
        if self.kind == "pareto":
            shape, least, cap = a
            return float(least + least * (1 - (least / cap) ** (shape - 1)) / (shape - 1))
        return (a[0] + a[1]) / 2 if self.kind in ("uniform", "steps") else a[0]


LAWS = ("uniform", "pareto", "exponential", "constant", "steps")


@dataclass(frozen=True)
class Traffic:
    """What the users of a slice of this type ask for."""

    gap: Law  # ms between two packets of a user, at load 1
    size: Law  # bytes of a packet
    deadline: float  # ms
    weight: float  # of the share of packets on time in the reward "utility"
    load: float  # default factor of the arrivals
    users: float  # parts of the users by default
    latency_limit: float  # default limit of the mean delay, in deadlines
    drop_limit: float  # default limit of the share of dropped packets

    def bits_per_second(self) -> float:
        """Mean load of one user."""
        return 8e3 * self.size.mean() / self.gap.mean()


TRAFFIC = {
    "voip": Traffic(
        gap=Law("uniform", (0.0, 160.0)),
        size=Law("constant", (40.0,)),
        deadline=10.0,
        weight=1.0,
        load=1.0,
        users=47,
        latency_limit=0.1,
        drop_limit=0.01,
    ),
    "video": Traffic(
        gap=Law("pareto", (1.2, 2.5, 12.5)),
        size=Law("pareto", (1.2, 40.0, 250.0)),
        deadline=10.0,
        weight=4.0,
        load=4.0,
        users=47,
        latency_limit=0.2,
        drop_limit=0.01,
    ),
    "urllc": Traffic(
        gap=Law("exponential", (180.0,)),
        size=Law("steps", (0.3e6, 0.7e6, 5)),
        deadline=100.0,
        weight=6.0,
        load=1.0,
        users=6,
        latency_limit=0.85,
        drop_limit=0.02,
    ),
    "best-effort": Traffic(
        gap=Law("exponential", (2000.0,)),
        size=Law("constant", (0.5e6,)),
        deadline=1000.0,
        weight=1.0,
        load=1.0,
        users=10,
        latency_limit=1.0,
        drop_limit=0.05,
    ),
}


def traffic_of(slices: tuple[str, ...]) -> list[Traffic]:
    """The types named, in order; :class:`InputError` for an unknown or repeated one, or none."""
    for name in slices:
        if name not in TRAFFIC:
            raise InputError(f"slice type is {name!r}; expected of {', '.join(TRAFFIC)}")
    if not slices or len(set(slices)) < len(slices):
        raise InputError(f"slices are {list(slices)}; expected at least one, each type once")
    return [TRAFFIC[name] for name in slices]


def cost_names(slices: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the 2 S costs of a decision: the latency of each slice, then the drops of each slice."""
    return tuple(f"{kind}/{name}" for kind in ("latency", "drop") for name in slices)


def cost_limits(slices: tuple[str, ...]) -> tuple[float, ...]:
    """Default limits of the means of the 2 S costs a decision, in the order of :func:`cost_names`."""
    found = traffic_of(slices)
    return (*(t.latency_limit for t in found), *(t.drop_limit for t in found))
