"""The single routing and selection environments. Their docstrings are the specification.

All are BQ-MDPs (bisimulation quotienting; Drakulic et al., NeurIPS 2023, arXiv 2301.03313): the state is the sub-instance
that remains, so that two partial solutions that leave the same sub-instance are one state, with one observation and one
best continuation. The mask shows what remains; what does not change in an episode keeps its place in the observation.
"""

from __future__ import annotations

from optgap.envs.batched import ActionMasks, BatchedEnv
from optgap.envs.routing.config import ATSPConfig, CVRPConfig, KnapsackConfig, OrienteeringConfig, TSPConfig


class TSPEnv(ActionMasks, BatchedEnv):
    """The travelling salesman problem, built node by node from node 0.

    ## Description
    N nodes; the shortest closed tour through all of them. The state is the shortest-path problem that is left: from the
    node where the path stands, through every node not visited yet, to node 0, where the tour closes. An episode has
    N - 1 decisions.

    ## Action space
    ``Discrete(N)``: the node to visit next. Only those that ``action_masks()`` marks are allowed; another one raises
    :class:`InvalidActionError` and changes nothing.

    ## Observation space
    A ``Dict``; N is the padding. Rows of nodes beyond the instance's are 0, and never allowed.

    | key | shape, dtype | content |
    |---|---|---|
    | nodes | (N, 2) float32 | positions, moved and scaled to the unit square, both axes alike; constant |
    | origin | () int64 | the node where the path stands |
    | destination | () int64 | where it must end: node 0; constant |
    | action_mask | (N,) int8 | 1 for the nodes that remain |

    Positions are the instance's coordinates; those of ``geo`` are projected, and a matrix of distances is laid out in
    the plane as well as can be (``NetworkInstance.positions``).

    ## Reward
    Minus the length added, by the instance's own metric, its rounding included; the last step also closes the tour. The
    undiscounted return is minus the tour's length.

    ## Episode
    Terminates when all nodes are visited. Never truncates.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | nodes | 100 | of the random instances: a number, or (least, most) to draw from, every episode; at least 2 |
    | distribution | "uniform" | of the random instances, or "clustered" |
    | instances | None | instances, names (``"berlin52"``) or paths to draw from instead of random ones |
    | padding | None | N of the observation; by default the largest episode's |

    ``reset(options={"instance": instance})`` plays that instance (it must fit the padding).

    ## Info
    ``length`` (so far), ``instance`` (name); at the end ``solution``, the (N,) int64 tour that ``TSP_PROBLEM.check``
    takes.

    ## Version history
    v0: first version.
    """

    options_class = TSPConfig


class ATSPEnv(ActionMasks, BatchedEnv):
    """The asymmetric travelling salesman problem: as :class:`TSPEnv`, with distances in the place of positions.

    ## Observation space
    | key | shape, dtype | content |
    |---|---|---|
    | distances | (N, N) float32 | from row to column, divided by the largest; constant |
    | origin | () int64 | the node where the path stands |
    | destination | () int64 | where it must end: node 0; constant |
    | action_mask | (N,) int8 | 1 for the nodes that remain |

    ## Arguments
    ``nodes``, ``instances``, ``padding`` as for the TSP. Random instances are uniform distances that obey the triangle
    inequality (``ATSP.generate``).

    ## Version history
    v0: first version.
    """

    options_class = ATSPConfig


class CVRPEnv(ActionMasks, BatchedEnv):
    """The capacitated vehicle routing problem, one customer after the other.

    ## Description
    C customers with demands, a depot (node 0), vehicles of one capacity; the shortest routes that serve every customer
    once. The state is what is left: the customer where the vehicle stands, the customers not served yet, the capacity
    that remains. An episode has C decisions.

    ## Action space
    ``Discrete(2 N)`` with N = C + 1 nodes: action ``j`` goes directly to customer j, whose demand must fit the remaining
    capacity; action ``N + j`` goes to customer j by way of the depot, where the vehicle is filled again. At the start,
    which is at the depot, only direct actions are allowed, so that no solution has two encodings by that. The
    return to the depot at the end is added by itself. Only actions that ``action_masks()`` marks are allowed; another
    one raises :class:`InvalidActionError` and changes nothing.

    ## Observation space
    A ``Dict``; N is the padding, the depot included. Rows of nodes beyond the instance's are 0, and never allowed.

    | key | shape, dtype | content |
    |---|---|---|
    | nodes | (N, 2) float32 | positions as for :class:`TSPEnv`, the depot's first; constant |
    | demand | (N,) float32 | share of a vehicle's capacity; constant |
    | origin | () int64 | the node where the vehicle stands |
    | capacity | (1,) float32 | share that remains |
    | action_mask | (2 N,) int8 | 1 where the action is allowed |

    A customer remains where one of its two actions is allowed.

    ## Reward
    Minus the length added, by the instance's own metric; the last step also returns to the depot. The undiscounted
    return is minus the length of all routes.

    ## Episode
    Terminates when all customers are served. Never truncates.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | customers | 100 | of the random instances: a number, or (least, most) to draw from, every episode |
    | capacity | None | of their vehicles; None takes the literature's at that size (50 at 100 customers) |
    | distribution | "uniform" | of depot and customers, or "clustered" |
    | instances | None | instances, names or paths to draw from instead of random ones |
    | padding | None | N of the observation, the depot included; by default the largest episode's |

    ``reset(options={"instance": instance})`` plays that instance (it must fit the padding).

    ## Info
    ``length`` (so far), ``instance`` (name); at the end ``solution``, the int64 array of customers with 0 at both ends
    and between two routes that ``CVRP_PROBLEM.check`` takes.

    ## Version history
    v0: first version.
    """

    options_class = CVRPConfig


class OrienteeringEnv(ActionMasks, BatchedEnv):
    """The orienteering problem: the most prize on a path of limited length.

    ## Description
    N nodes with prizes; a path from the instance's start to its end (often one node, the depot) that is no longer than
    a limit. The state is what is left: the node where the path stands, the nodes not visited yet, the length that
    remains.

    ## Action space
    ``Discrete(N)``: the node to visit next. Allowed is a node that is not visited yet and from which the end can still
    be reached: ``d(origin, node) + d(node, end) <= budget``, with the relative tolerance of 1e-9 of ``ORIENTEERING.check``.
    There is no action to stop: prizes are not negative, so stopping early never helps. A forbidden action raises
    :class:`InvalidActionError` and changes nothing. Where distances break the triangle inequality (rounded ones, a
    matrix), a path that goes through a node from which only a detour leads home in time cannot be built.

    ## Observation space
    A ``Dict``; N is the padding. Rows of nodes beyond the instance's are 0, and never allowed.

    | key | shape, dtype | content |
    |---|---|---|
    | nodes | (N, 2) float32 | positions as for :class:`TSPEnv`; constant |
    | prize | (N,) float32 | divided by the largest; constant |
    | origin | () int64 | the node where the path stands |
    | destination | () int64 | the end of the path; constant |
    | budget | (1,) float32 | length that remains, in the unit of ``nodes``, at most 2 N |
    | action_mask | (N,) int8 | 1 where the node is allowed |

    Where the metric is not the plane's (a matrix, ``geo``, ``att``), the unit is exact on average only; the mask always is.

    ## Reward
    The prize of the node, undivided. The first step also pays the start's prize and the last one the end's (0 in random
    instances, where both are the depot). The undiscounted return is the prize of the path.

    ## Episode
    Terminates when no node is allowed; the path then goes to its end. Never truncates. An instance in which no node
    can be reached at all is refused.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | nodes | 100 | of the random instances: a number, or (least, most) to draw from, every episode; at least 2 |
    | prize | "distance" | of the random instances, or "uniform" or "constant" |
    | limit | None | of their length; None takes the literature's at that size (4 at 100 nodes) |
    | distribution | "uniform" | of the nodes, or "clustered" |
    | instances | None | instances, names or paths to draw from instead of random ones |
    | padding | None | N of the observation; by default the largest episode's |

    ``reset(options={"instance": instance})`` plays that instance (it must fit the padding).

    ## Info
    ``prize`` and ``length`` (so far), ``instance`` (name); at the end ``solution``, the int64 path from start to end that
    ``ORIENTEERING.check`` takes.

    ## Version history
    v0: first version.
    """

    options_class = OrienteeringConfig


class KnapsackEnv(ActionMasks, BatchedEnv):
    """The 0-1 knapsack problem, item by item.

    ## Description
    N items with values and weights; the most valuable set of items within the capacity. The state is what is left: the
    items not chosen yet that fit, and the capacity that remains.

    ## Action space
    ``Discrete(N)``: the item to choose next; allowed are those that are left and fit, with the relative tolerance of 1e-9
    of ``KNAPSACK.check``. There is no action to stop: values are not negative, so stopping early never helps. A forbidden
    action raises :class:`InvalidActionError` and changes nothing.

    ## Observation space
    A ``Dict``; N is the padding. Rows of items beyond the instance's are 0, and never allowed.

    | key | shape, dtype | content |
    |---|---|---|
    | items | (N, 2) float32 | value divided by the largest; weight as a share of the whole capacity, at most 2; constant |
    | capacity | (1,) float32 | share that remains |
    | action_mask | (N,) int8 | 1 where the item is left and fits |

    ## Reward
    The value of the item, undivided. The undiscounted return is the value of the chosen items.

    ## Episode
    Terminates when nothing fits. Never truncates. An instance in which nothing fits from the start is refused; a random
    one is drawn again.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | items | 200 | of the random instances: a number, or (least, most) to draw from, every episode |
    | capacity | None | of the random instances; None takes the literature's at that size (25 at 200 items) |
    | instances | None | instances, names or paths to draw from instead of random ones |
    | padding | None | N of the observation; by default the largest episode's |

    ``reset(options={"instance": instance})`` plays that instance (it must fit the padding).

    ## Info
    ``value`` and ``weight`` (so far), ``instance`` (name); at the end ``solution``, the int64 array of chosen items, in
    the order of their choice, that ``KNAPSACK.check`` takes.

    ## Version history
    v0: first version.
    """

    options_class = KnapsackConfig
