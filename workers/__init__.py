"""Child processes that run native code on a user's model: their death is a result.

:mod:`.child`      the parent's end: start, ask, time out, kill the group, say how it died
:mod:`.serve`      the child's end: ``python -m edgeworthy.workers FD PARENT MODULE``
:mod:`.scratch`    a folder for temporary files that goes with its owner
:mod:`.pool`       many jobs over several children
:mod:`.stack`      a crash's stack and a log, down to the lines that say something
:mod:`.processes`  what every such process owes to the one that started it, and how much memory it took
"""
