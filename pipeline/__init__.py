"""The stages wired into runs: what comes in, what is kept between runs, and what goes out.

================== ====================================================================
:mod:`.inputs`     what a run was given, loaded and checked
:mod:`.stages`     export → convert → quantize → validate → bench, each when it is needed
:mod:`.cache`      the output folder: locked, stages taken over, half-made files swept away
:mod:`.assembly`   results → report, JUnit, manifest
:mod:`.subjects`   which targets run which artifacts
:mod:`.inspection` what is in a model file
:mod:`.diagnosis`  what this machine has
================== ====================================================================
"""
