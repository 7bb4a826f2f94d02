"""Repair: the fastest file of a scheme that meets a budget, found by measuring (see ``search``)."""
