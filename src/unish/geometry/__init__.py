"""Pure functions on tensors: any leading batch dimensions, no modules, no files."""
