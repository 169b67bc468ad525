"""Blinded reading: a page on which a radiologist grades knees without knowing whose they are, and the way back.

`package` writes the page and the key, `gather` turns exports and the key into a readings table, `serve` shows the page
and keeps every answer at once.
"""
