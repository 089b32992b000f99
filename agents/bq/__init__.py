"""BQ-MDP agents: attention over the remaining sub-instance, trained by imitation or by self-improvement."""
