"""One file a problem: SCIP models, and CP-SAT for scheduling."""
