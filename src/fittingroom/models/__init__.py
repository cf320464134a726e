"""The classifiers: scikit-learn estimators that take pixels in 0..255."""
