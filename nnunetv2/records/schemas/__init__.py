"""JSON schemas of the documents, for editors and for the checks; package data."""
