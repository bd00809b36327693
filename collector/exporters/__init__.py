"""Where the pipeline's batches go."""
