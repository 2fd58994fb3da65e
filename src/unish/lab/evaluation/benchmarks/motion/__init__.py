"""People in motion against body models that were fitted to sensors: one file per dataset, one way of scoring.

``truth`` says what a dataset must give, ``resampling`` brings a result to its frame rate, ``scoring`` compares the two,
``body_files`` finds what only their owners may hand out.
"""
