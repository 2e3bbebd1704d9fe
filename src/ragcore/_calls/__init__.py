"""
A call on its way: from a reference to an answer.

What comes in: references, options, messages and texts. What goes out: completions, streams and
embeddings, or errors that say who failed and why. May be imported by :mod:`ragcore`,
:mod:`ragcore.sync`, :mod:`ragcore.lightrag` and :mod:`ragcore.testing`.
"""
