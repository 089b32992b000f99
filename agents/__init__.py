"""Agents that learn to solve the environments of optgap.envs."""

if __name__ == "agents":
    raise ImportError("import optgap.agents, not agents: the folder is part of the package optgap (pip install optgap)")
