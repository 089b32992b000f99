"""Solvers x instances x seeds under one clock: instance collections, cells, results files. No plotting."""
