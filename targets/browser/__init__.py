"""Models in a real Chromium: LiteRT.js and TensorFlow.js.

:mod:`.server`   what the page gets and gives: files, and tensors as bytes, on 127.0.0.1
:mod:`.chromium` the browser, driven by Playwright, and how it ended
:mod:`.guard`    a process that tidies up after it, however this one ends
:mod:`.session`  a model that is loaded in a page
:mod:`.litertjs` ``browser:wasm`` and ``browser:webgpu``
:mod:`.tfjs`     ``tfjs``
"""
