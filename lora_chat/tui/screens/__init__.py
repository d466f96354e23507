"""What the window can show at once. Each screen shows values, posts messages and dismisses with a value."""
