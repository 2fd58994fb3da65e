"""Video depth and camera paths on recordings and films: one file per dataset, one way of scoring (``video``)."""
