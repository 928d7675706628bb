"""nnUNetv2_doctor: what is wrong or suspicious in a raw data set, and repairing what is safe."""
