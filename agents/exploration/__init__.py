"""Agents that explore by bonuses: counts, E3B, S-Max, k-NN, RND, ICM, disagreement; SOFE; DeRL."""
