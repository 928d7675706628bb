"""From tiles to labels, slab by slab: memory does not grow with the number of classes, nor time with the disk."""
