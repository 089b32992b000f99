"""optgap: decision problems as environments, agents that learn them, and the optimality gap of every result.

Importing it registers every environment with Gymnasium, by name only: ``gymnasium.make("optgap/JobShop-v0")`` works
after ``import optgap``, and ``gymnasium.make("optgap:optgap/JobShop-v0")`` without it (worker processes).
"""

from optgap.envs import register_environments

__version__ = "0.1.0"
__all__ = ["__version__", "register_environments"]

register_environments()
