"""
Budgets that many calls share: how many at once, how many per minute, or as many as a service takes.

What comes in: tickets of attempts, and what became of each. What goes out: their turn, or an error
where it would come too late. May be imported by the host's other rooms; imports
:mod:`ragcore.errors` alone.
"""

from ragcore._limits.accounts import limits_of_account
from ragcore._limits.limits import Limits
from ragcore._limits.line import Line
from ragcore._limits.ticket import Ticket

__all__ = ["Limits", "Line", "Ticket", "limits_of_account"]
