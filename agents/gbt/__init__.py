"""Agents whose function approximator is an ensemble of gradient-boosted trees."""
