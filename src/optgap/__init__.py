"""optgap: decision problems as environments, agents that learn them, and the optimality gap of every result."""

__version__ = "0.1.0"
