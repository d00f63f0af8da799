"""Episodes on their way into a version: durable one by one, resumed, recovered."""
