"""The provider seam, and one file for each wire family behind it."""
