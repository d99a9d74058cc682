"""What runs a task: training, checkpoints, records, stopping. It knows nothing of any one model."""
