"""What every page that shows slices has in common: pixels packed small, and the scripts that unpack and show them.

`knee.pack_knee` prepares a stack, `assets` gives scripts and styles. It knows of no grade, outline or answer unless a
page brings `overlay.js`; the blinded reading page does not.
"""
