"""Human branches: what turns the evidence about people into SMPL rotations, shapes and tokens."""
