"""The one owner of MLflow: where runs are logged, and what happens when nobody answers there.

A tracking store never stops a run. What it cannot take is left out, or kept locally, with a warning.
"""
