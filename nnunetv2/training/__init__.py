"""Training: data loading and augmentation, losses, schedules, the trainer and what it writes."""
