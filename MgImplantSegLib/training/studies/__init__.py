"""Cross-validation, the scaling study and their tables and figures."""
