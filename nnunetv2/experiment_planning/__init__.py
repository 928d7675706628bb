"""From a raw data set to its plans: integrity, fingerprint, target spacing, patch, network, batch."""
