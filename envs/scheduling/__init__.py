"""Scheduling environments: the job shop and the blocking job shop."""
