"""The measures, one idea a file; `all_measures` lists them."""
