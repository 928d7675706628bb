"""Faults on purpose: kills, dying workers, full disks, damaged and hostile files, long use.

Each test takes its number of faults from ``counts`` and reports what it saw through the fixture ``figures``. A run with
``NNUNET_FAULTS=full`` does the full counts and prints the table of documentation/reliability.md.
"""
