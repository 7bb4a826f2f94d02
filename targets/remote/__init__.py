"""Models on machines that aren't ours: one program that runs there, and what starts it.

:mod:`.there`    what is sent there as text: the runner, what it tells of the place, its store of files, the backends
:mod:`.runner`   the host's end: start a runner, ask it, and say how it ended
:mod:`.session`  a target's ``LoadedModel`` at the other end
:mod:`.store`    files by content hash, in a folder there
:mod:`.process`  a runner in a process of this machine: an emulator, or another environment's Python
:mod:`.ssh`      a runner on a board, over SSH
"""
