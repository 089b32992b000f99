"""``optgap/NetworkSlicing-v0``: the single environment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optgap.envs.batched import BatchedEnv
from optgap.envs.slicing.batch import SlicingBatch
from optgap.envs.slicing.config import SlicingConfig


class SlicingEnv(BatchedEnv):
    """A base station shares its band among slices of users, under long-run constraints on delays and drops.

    ## Description
    The downlink of one cell: U users in S slices, B Hz in blocks of 180 kHz, slots of 0.5 ms. Every ``decision_slots``
    slots the agent sets the slices' shares of the band. In every slot packets arrive at the users' queues of 5 packets
    (one that finds its queue full is dropped), and each slice serves its users with packets in turn, a block a turn
    (round robin), until its part of the slot's blocks is used. A share is a fraction of the band and blocks are not
    rounded, so delivered bits (whole numbers) follow the action without steps. ``optgap.co.problems.slicing`` is the
    definition, to the bit.

    Channel: users stand uniformly in a disc of 40 m (no closer than 1 m), path loss 145.4 + 37.5 log10(d / km) dB,
    shadowing of 8 dB standard deviation, both for an episode; Rayleigh fading drawn anew each decision. 16 dBW spread
    evenly over the band, noise of -174 dBm/Hz. A block carries floor(90 log2(1 + SNR)) bits a slot (90 = 180 kHz x 0.5 ms).

    Traffic of a user, by type (sources: ``optgap.co.problems.slicing_traffic``):

    | type | time between packets | packet | deadline | weight | load | part of users |
    |---|---|---|---|---|---|---|
    | voip | U(0, 160) ms | 40 B | 10 ms | 1 | 1 | 47 |
    | video | Pareto 1.2 from 2.5 ms, capped at 12.5 (mean 6) | the same from 40 B, capped at 250 (mean 100) | 10 ms | 4 | 4 | 47 |
    | urllc | exponential, 180 ms | 0.3, 0.4, .. 0.7 MB alike | 100 ms | 6 | 1 | 6 |
    | best-effort | exponential, 2 s | 0.5 MB | 1 s | 1 | 1 | 10 |

    Times between packets are divided by the load, and by a factor that varies over the episode: 1 + a sin (a phase for each
    slice, a period of 40 decisions), or regimes of 1 - a and 1 + a that last 20 decisions on average. The default cell
    is loaded to about 80%; another number of users, or other slices, may ask for more than the band carries.

    ## Action space
    Float32 shares (S,). ``projected=True``: ``Box(0, 1, (S,))``; any finite action in [-1e6, 1e6] is taken, as the nearest
    shares in {x >= 0, sum x <= 1}. ``projected=False``: ``ConstrainedBox`` of that set; an action outside (its sum may
    exceed 1 by 1e-6, the rounding of float32) raises :class:`InvalidActionError` and changes nothing. NaN does in both.
    What a slice leaves unused is lost.

    ## Observation space
    ``Box(0, 10, (9 S,))`` float32, for each slice in order:

    | column | content (at most 10) |
    |---|---|
    | 0 | packets that arrived in the last decision, per user of the slice |
    | 1 | share of the band that would serve their bits in one decision, at the rates of the coming one |
    | 2 | the same for the bits that wait |
    | 3 | packets that wait, by places in the queues |
    | 4 | age of the oldest waiting packet, in deadlines |
    | 5, 6 | costs of the last decision: latency, drops |
    | 7 | mean rate of the slice's users in the coming decision, by that of 20 bits/s/Hz |
    | 8 | share in the last decision |

    The channel of the coming decision is known, its arrivals are not.

    ## Reward
    ``"throughput"``: bits delivered in the decision, divided by band x duration x 20 bits/s/Hz; about 0.8 where all traffic of
    the default cell is delivered. ``"utility"``: sum over slices of weight x share on time, + 0.01 x spectral efficiency in
    bits/s/Hz; the share on time is that among packets that were served, dropped or are overdue, 1 where there are none.
    The undiscounted return is ``SLICING.cost(instance, solution)``, exactly.

    ## Costs
    ``info["cost"]``, (2 S,) float64, named by ``cost_names``: ``latency/<slice>``, the mean delay of the packets served in the
    decision and the present age of those that wait, in deadlines (0 where there are none); then ``drop/<slice>``, dropped
    by arrived packets (0 where none arrived). A constraint holds if the mean cost a step is at most its entry of
    ``cost_limits``: by default 0.1, 0.2, 0.85 and 0.01, 0.01, 0.02 for voip, video and urllc (best effort: 1 and 0.05).

    ## Episode
    Truncated after ``decisions`` decisions: the task goes on. Never terminates.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | slices | voip, video, urllc | types, S different ones |
    | users | 100 | U |
    | mix | None | parts of the users, one number a slice; None takes the table's; each slice has at least one user |
    | bandwidth | 10e6 | B, Hz |
    | load | None | factor of the arrivals, a number or one a slice; None takes the table's |
    | variation | "sinusoid" | of the load over the episode; or "regime", "constant" |
    | amplitude | 0.5 | a, 0 to 1 |
    | decisions | 100 | of an episode |
    | decision_slots | 100 | slots of a decision |
    | queue | 5 | packets that a user's queue holds |
    | reward | "throughput" | or "utility" |
    | projected | True | see above |
    | limits | None | 2 S limits of the mean costs; None takes the types' |
    | instances | None | traces, names (``"slicing-100-s3"``) or paths to draw from instead of random cells |

    A trace given brings its own cell, reward and lengths; of the arguments only ``projected`` and ``limits`` then matter.
    ``reset(options={"instance": instance})`` plays that trace (it must have the same slices).

    ## Info
    ``cost`` (see above; 0 after a reset), ``instance`` (name); at the end ``solution``, the (T, S) float64 shares, projected
    ones where they were, that ``SLICING.check`` takes.

    ## Version history
    v0: first version.
    """

    options_class = SlicingConfig
    truncates = True
    batch: SlicingBatch

    @property
    def cost_names(self) -> tuple[str, ...]:
        """(2 S,) names of the costs."""
        return self.batch.cost_names

    @property
    def cost_limits(self) -> NDArray[np.float64]:
        """(2 S,) limits of the mean costs a step."""
        return self.batch.cost_limits
