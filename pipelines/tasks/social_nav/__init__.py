"""The social-navigation world: its physics, scenarios, environments and scripted robots."""
