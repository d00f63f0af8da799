"""New versions from those that exist: selected, merged, split; and datasets renamed and copied."""
