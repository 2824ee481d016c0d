"""The BacalhauNet report, run again with the library: its tables and figures, the twin's fidelity, networks to ship."""
