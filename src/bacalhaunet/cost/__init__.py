"""The inference cost score of the 2021 challenge."""
