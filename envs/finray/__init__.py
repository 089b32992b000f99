"""Fin-ray propulsion: optgap/FinRay-v0."""
