"""What the commands share: flags, logging, error reporting. Imports nothing heavy, so ``-h`` answers at once."""
