"""Published claims, checked: `fittingroom verify`."""
