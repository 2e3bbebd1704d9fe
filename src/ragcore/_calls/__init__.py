"""A call on its way: from a reference to an answer."""
