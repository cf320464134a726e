"""A training step of a plain network in compiled kernels, without autograd.

A step of 32 images takes a few milliseconds, of which a framework spends half between its
operations: it records them for the backward pass, wakes its threads for every one of them and lets
them wait for each other. Here each thread takes its part of the images all the way forward and
backward, and they meet once, to add up their gradients and update the weights.

    plan.py      the layers, and the shapes of the maps between them
    weights.py   the layers' weights as kernels take them, in the layout of their gradients
    maps.py      where the values between two layers lie, and their slopes
    product_pass.py, module_passes.py
                 a layer forward and backward: by products of factors.py, or by its module's kernels
    network_pass.py
                 some images through all layers and back
    threads.py   each thread's passes, and the sum of their gradients
    updates.py   the weights by that sum
    step.py      all of it, and which networks can have it
"""
