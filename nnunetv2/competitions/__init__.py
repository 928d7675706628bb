"""What single competitions need beside the method: their file names, and the judging of long pipelines."""
