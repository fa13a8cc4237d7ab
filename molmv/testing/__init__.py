"""Suites of tests to inherit, for molmv's own teachers, densities and students and for those of other packages."""
