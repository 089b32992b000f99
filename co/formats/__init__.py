"""One file a format: readers and writers of public instance files."""
