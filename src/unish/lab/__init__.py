"""The laboratory: what trains the networks, scores methods, and makes or reads the data for both.

``synthetic`` renders clips with exact truth, ``datasets`` reads them and recorded ones behind one interface,
``evaluation`` scores methods on benchmarks, and ``training`` has the trainer and its recipes. Nothing that the product
needs to run lives here: only the command line imports it.
"""
