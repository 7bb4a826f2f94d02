"""Many models on many devices: one work list, a queue for every device, one report.

:mod:`.plan`     `devices.toml`: the models and the devices, checked
:mod:`.jobs`     one model file on one device: what is done, and what came of it
:mod:`.queues`   the work list on this machine: a queue for every device, retries, time limits
:mod:`.cluster`  the same work list on a Ray cluster
:mod:`.run`      from `devices.toml` to the report, going on where an earlier run stopped
:mod:`.report`   `fleet.json`, `fleet.md` and `fleet.html`
"""
