"""A report on a raw data set: numbers of every case as CSV, and a page with pictures."""
