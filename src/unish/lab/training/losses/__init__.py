"""Losses, one file per kind of evidence. What compares with truth is zero where the prediction equals it (tested).

| file | evidence | used for |
|---|---|---|
| ``points``, ``cameras`` | exact scenes | the scene branch |
| ``body`` | exact bodies | coarse localisation: who, how and where people are |
| ``distillation`` | depth of a single-image expert | the surface of people |
| ``correspondence`` | the people's own points, landmarks | fine alignment on real video |

``penalties`` and ``sampling`` are what they share. Every loss returns a mean that padding does not change, and 0 with
gradients of 0 where there is no evidence. A scale or shift that is solved for inside a loss minimises that same loss,
truncation included (in ``compare_points`` up to its caps on gross errors): with another minimiser the network could
lower the loss by drifting.
"""
