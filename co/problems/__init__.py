"""One file a problem: instance type, generator, feasibility check, cost."""
