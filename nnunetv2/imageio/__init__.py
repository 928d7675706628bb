"""Reading images and label maps into arrays, and writing label maps: one module per library, one contract for all."""
