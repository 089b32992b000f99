"""``optgap/JobShop-v0`` and ``optgap/BlockingJobShop-v0``: the single environments."""

from __future__ import annotations

from optgap.envs.batched import ActionMasks, BatchedEnv
from optgap.envs.scheduling.batch import ShopBatch
from optgap.envs.scheduling.config import BlockingJobShopOptions, JobShopOptions


class JobShopEnv(ActionMasks, BatchedEnv):
    """Job-shop scheduling as a sequence of dispatching decisions.

    ## Description
    J jobs, each a chain of operations on M machines; one operation a machine at a time, no preemption. At a decision
    the agent names the job whose next operation starts. Time advances by events (Park et al. 2021, arXiv 2106.01086,
    section 3): with ``schedule="non-delay"`` the clock stands at the earliest moment at which a waiting job meets an
    idle machine; with ``"active"`` decisions follow Giffler and Thompson (1960), whose schedules contain an optimal one.

    ## Action space
    ``Discrete(J)``, or ``Discrete(J + 1)`` with ``wait=True``: action j < J starts the next operation of job j; action J
    leaves the deciding machine (all idle machines where ``candidates="shop"``) idle until the next moment at which a job
    could start; it is offered where there is one. With ``candidates="shop"`` waiting makes an optimal schedule
    reachable; a single "machine" must decide before it is known what the others will send it, and may miss it. Only actions
    with ``action_masks()`` true are allowed; another one raises :class:`InvalidActionError` and changes nothing.

    ## Observation space
    A ``Dict`` over the typed graph of operations (predecessor and successor: neighbours n - 1, n + 1 of the same job;
    same machine: equal ``operation_machine``). N is the number of operations; padded entries are 0, padded ids -1.
    Lengths are relative to the mean duration d or to the rest L of the makespan's lower bound, so they have no unit.

    | key | shape, dtype | content |
    |---|---|---|
    | operations | (N, 10) float32 | Park's node features and a lower bound (``observation.OPERATION_FEATURES``), if ``graph`` |
    | jobs | (J, 32) float32 | each unfinished job and its next operation (``observation.JOB_FEATURES``) |
    | machines | (M, 5) float32 | each machine, whether it is down included (``observation.MACHINE_FEATURES``) |
    | shop | (10,) float32 | the whole (``observation.SHOP_FEATURES``) |
    | route | (N, 6) float32 | constants of the operations (``observation.ROUTE_FEATURES``) |
    | operation_job | (N,) int64 | job of each operation |
    | operation_machine | (N,) int64 | machine of each operation |
    | next_operation | (J,) int64 | next operation of each job, -1 when finished |
    | action_mask | (A,) int8 | 1 where the action is allowed |

    Operations that are open (not done) form the residual graph of Ho et al. 2023: column 3 of ``operations`` is 0 there.

    ## Reward
    ``"makespan"``: minus the rise of the latest completion time, so that the undiscounted return is minus the makespan,
    exactly; ``"lower_bound"``: minus the rise of the lower bound (the first step pays the bound at time 0), same
    return, denser; ``"sparse"``: minus the makespan at the end; ``"waiting"``: minus the number of jobs that wait after
    the step (Park et al. 2021; its return is not the makespan). Time units.

    ## Episode
    Terminates when every operation has started. Never truncates. ``autoplay=True`` takes decisions with one candidate
    (and no possible wait) itself; an episode still has at least one step.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | jobs, machines | 10, 10 | size of the random instances: a number, or (least, most) to draw from, every episode |
    | low, high | 1, 99 | durations U[low, high] (Taillard 1993) |
    | instances | None | instances, names (``"ta01"``) or paths to draw from instead of random ones |
    | reward | "makespan" | see above |
    | schedule | "non-delay" | or "active" |
    | candidates | "shop" | every job that can start now, or those of one "machine" |
    | wait | False | offer the wait action (``schedule="non-delay"``) |
    | autoplay | False | play forced decisions |
    | graph | True | observe ``operations`` |
    | padding | None | (J, N, M) of the observation; by default the largest episode's |

    ``reset(options={"instance": instance})`` plays that instance (it must fit the padding).

    ## Info
    ``makespan`` (so far), ``lower_bound``, ``instance`` (name); at the end ``solution``, the (N,) int64 start times that
    ``JOB_SHOP.check`` takes.

    ## Version history
    v0: first version.
    """

    options_class = JobShopOptions
    batch: ShopBatch


class BlockingJobShopEnv(ActionMasks, BatchedEnv):
    """The interrupting swap-allowed blocking job shop, ISBJSSP (Wong et al. 2023, arXiv 2302.02506).

    As :class:`JobShopEnv`, with these differences; the problem is defined in ``optgap.co.problems.blocking_job_shop``.

    * No buffers: a job holds its machine until its next operation starts. A candidate's next machine is free and up, or
      the job's own. Jobs that block each other in a cycle move at once, by themselves, as soon as they can (waiting
      could not help: no other job can enter their machines).
    * Machines go down and come back at random times; an interrupted operation keeps its machine and resumes. The
      disruptions belong to the instance, hence to the seed; the observation shows which machines are down now
      (``machines`` column 4, ``jobs`` column 22) and nothing of the future: remaining times assume no further one.
    * ``schedule`` is "non-delay". Two more arguments: ``shutdown_probability`` (0.1), the long-run share of time a
      machine is down (a number, or (least, most) to draw from, every episode), and ``mean_downtime`` (50.0) time units.
    * ``info["makespan"]`` and the ``"makespan"`` reward count true completions, future interruptions of operations under
      way included: a measure for the trainer, not for the policy, whose observation and ``lower_bound`` know none.
    * ``solution`` is what ``BLOCKING_JOB_SHOP.check`` takes.

    ## Version history
    v0: first version.
    """

    options_class = BlockingJobShopOptions
    batch: ShopBatch
