"""A search for better settings: `fittingroom tune`."""
