"""Pictures and pages from results. Nothing is computed here that a result doesn't hold."""
