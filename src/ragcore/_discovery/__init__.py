"""
The plugins that are installed, and what they bring.

What comes in: entry points, and the variables that switch plugins off. What goes out: provider
records by task and name, option groups, and for each broken plugin the reason and the cure. May be
imported by all of ragcore but errors, records, options, hook specifications and wire.
"""
