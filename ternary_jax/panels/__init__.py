"""Panels: drawings of views by bokeh, for the report of a workdir. Every family draws its own with these parts."""
