"""Many models on many devices, or through many converters: one work list, a queue for every device, one report.

:mod:`.plan`       `devices.toml` and lists of models, checked
:mod:`.jobs`       a job of any kind: what is tried, how often, what came of it
:mod:`.timing`     the job of ``bench``: one model file on one device
:mod:`.comparing`  the job of ``compare``: every converter on one model
:mod:`.executors`  where a work list is carried out
:mod:`.queues`     the work list on this machine: a queue for every device, retries, time limits
:mod:`.cluster`    the same work list on a Ray cluster
:mod:`.run`        from a plan to the report of timings, going on where an earlier run stopped
:mod:`.report`     `fleet.json`, `fleet.md` and `fleet.html`
:mod:`.compared`   from a list of models to `compare.json`, `compare.md` and `compare.html`, likewise
"""
