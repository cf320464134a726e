"""Networks: plain modules that map ``(batch, 1, height, width)`` pixels in 0..1 to logits.

Each is created from ``(image_shape, n_classes)`` and options, which are keyword-only and bounded.
"""
