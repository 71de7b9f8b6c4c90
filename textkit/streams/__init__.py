"""Bytes to lines, lines to records and what they carry along, numbers to text and back. Knows no model."""
