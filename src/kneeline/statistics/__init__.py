"""Statistical methods on arrays, one a file, each checked against an independent oracle; no table, no setting."""
