"""Networks: their specification, layers, catalog and saved form."""
