"""What planning needs to know about a data set, read from its images once."""
