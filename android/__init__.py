"""A TFLite file made ready for an Android app: assets to compare with, and a typed Kotlin class to call.

:mod:`.export`   checks, runs and writes all of it: ``edgeworthy export-android``
:mod:`.vectors`  inputs, expected outputs and tolerances, from LiteRT's interpreter
:mod:`.kotlin`   the class, from the signatures
:mod:`.owned`    which files of an earlier export are still as they were written
"""
