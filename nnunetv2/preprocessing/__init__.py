"""From raw images to network input: crop, normalize, resample, save."""
