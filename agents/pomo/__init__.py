"""Policy gradient with the mean of many samples as the baseline."""
