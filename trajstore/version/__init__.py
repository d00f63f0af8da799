"""One sealed version: how it lies on disk, how it is written, read and verified."""
