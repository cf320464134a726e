"""The benchmark of the makers of Fashion-MNIST: `compare --suite zalando`."""
