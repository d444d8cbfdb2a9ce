"""The operations of the API, one file for each kind of object.

These files leave out `from __future__ import annotations`: django-ninja reads the annotations
of the decorated functions, and as text they would be looked up in the decorator's file.
"""
