"""Combinatorial optimization with no learning in it: instances, problems, exact and heuristic solvers."""

if __name__ == "co":
    raise ImportError("import optgap.co, not co: the folder is part of the package optgap (pip install optgap)")
