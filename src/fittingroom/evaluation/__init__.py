"""What saved predictions say: arrays in, plain frozen results out. Needs numpy and scipy alone."""
