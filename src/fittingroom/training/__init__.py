"""Training: a recipe, the one loop that follows it, and what the loop needs."""
