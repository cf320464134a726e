"""Training: a recipe, one loop that follows it, and what the loop needs."""
