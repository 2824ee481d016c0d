"""Reproductions of the BacalhauNet report: each a run that leaves its tables, figures and networks in a folder."""
