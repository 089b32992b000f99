"""Dispatching rules, constructions and local search."""
