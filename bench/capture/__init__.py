"""`latentcast bench capture`: whether a source that stalls, or is too fast, delays anything."""
