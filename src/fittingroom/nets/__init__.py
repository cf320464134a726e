"""Networks: plain modules that map ``(batch, 1, height, width)`` pixels in 0..1 to logits."""
