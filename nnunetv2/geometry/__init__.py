"""Array maths of grids: boxes, padding, axes, tiles, interpolation. Knows no files."""
