"""Network slicing: a base station shares its bandwidth among slices under long-run constraints."""
