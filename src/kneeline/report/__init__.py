"""Report: tables and volumes -> pictures and one self-contained page.

`pictures.picture_scan` draws one knee, `page.build_report` gathers everything.
"""
