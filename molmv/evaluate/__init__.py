"""Teachers, students and plain baselines under one protocol."""
