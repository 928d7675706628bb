"""Small public helpers that other people's code imports from here."""
