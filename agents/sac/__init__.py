"""Soft actor-critic, on networks and on boosted trees."""
