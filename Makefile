# Two commands: `make demo` and `make test`. Each makes .venv on its own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BASE := .venv-base
GPU := .venv-gpu
SERVING := .serving

.PHONY: demo test test-base test-browser test-device test-gpu test-serving test-slow lint transcript quantization kernels \
        models zoo routes clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)  ## train digits_cnn, run the whole pipeline on it, print the table
	$(BIN)/edgeworthy run sample:digits_cnn -o out/digits_cnn

# mypy takes the package's name from its folder, and a checkout may have any.
lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p $(VENV)/typing && ln -sfn ../.. $(VENV)/typing/edgeworthy
	cd $(VENV)/typing && ../bin/mypy --config-file edgeworthy/pyproject.toml edgeworthy

test: lint  ## what CI runs
	$(BIN)/pytest -n 2 --dist loadfile --durations 30 -m 'not slow and not base and not browser and not device and not gpu'

# A wheel and not -e: what a user gets is what is in the wheel.
test-base: $(STAMP)  ## the wheel without torch and TensorFlow, in an environment of its own
	rm -rf $(BASE) build && $(PYTHON) -m venv $(BASE)
	$(BASE)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt .
	EDGEWORTHY_BASE=$(BASE) $(BIN)/pytest -m base

test-slow: $(STAMP)  ## the tests that take minutes
	$(BIN)/pytest -m slow

test-browser: $(STAMP)  ## the report's page in headless Chromium, as wide as a phone and as a desktop, light and dark
	@command -v chromium >/dev/null || { echo "Chromium is missing: apt-get install chromium fonts-dejavu-core" >&2; exit 3; }
	$(BIN)/pytest -m browser tests/validate

KITS ?= adb arm64 browser ethos-u executorch gpu kotlin litert-torch onnx-tf onnx2tf onnx2tf-1 openvino tflite-2.14 tflite-micro

test-device: $(STAMP)  ## fetch kits (all: 6.6 GB in your data folder; KITS='arm64 gpu': those), run the real thing on them
	@command -v chromium >/dev/null || { echo "Chromium is missing: apt-get install chromium fonts-dejavu-core" >&2; exit 3; }
	$(BIN)/edgeworthy targets install $(KITS)
	KITS='$(KITS)' $(BIN)/pytest -n 2 --dist loadfile -m device

# In an environment of its own, and made only where there is a GPU: builds for CUDA in place of those for the CPU.
test-gpu: $(STAMP)  ## every target on CUDA: parity, receipts, latency; without a GPU it says so
	@$(BIN)/python -c "from edgeworthy.targets import cuda; raise SystemExit(cuda.missing())" \
	  || { echo "no target on CUDA can run here" >&2; exit 3; }
	test -d $(GPU) || $(PYTHON) -m venv $(GPU)
	$(GPU)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[samples]' pytest pytest-timeout
	$(GPU)/bin/python -m pip uninstall --quiet --yes onnxruntime
	$(GPU)/bin/python -m pip install --quiet --disable-pip-version-check 'onnxruntime-gpu[cuda,cudnn]' 'tensorflow[and-cuda]'
	$(GPU)/bin/python benchmarks/gpu.py
	$(GPU)/bin/pytest -s -m gpu tests/targets/test_gpu.py

# Without its dependencies: it asks for another TensorFlow than the one that is here.
test-serving: $(STAMP)  ## the client of TensorFlow Serving against a server of tensorflow-serving-api's own stubs
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --target $(SERVING) \
	  'tensorflow-serving-api==2.21.0'
	EDGEWORTHY_SERVING_API=$(CURDIR)/$(SERVING) $(BIN)/pytest tests/targets/test_tf_serving.py

transcript: $(STAMP)  ## run the demo from scratch, and take what it prints into the README
	rm -rf out/digits_cnn
	$(BIN)/edgeworthy run sample:digits_cnn -o out/digits_cnn
	$(BIN)/python tests/cli/transcript.py out/digits_cnn

quantization: $(STAMP)  ## rewrite docs/quantization.md: every scheme on 22 models, half of them out of packages of PyPI (hours)
	-$(BIN)/python benchmarks/quantization.py --make > /dev/null  # other work may run beside; exit status 1 tells of bars
	$(BIN)/python benchmarks/quantization.py --write docs/quantization.md  # minutes, alone

kernels: $(STAMP)  ## rewrite docs/kernels.md: operator forms against ONNX Runtime and their other forms (half an hour)
	$(BIN)/python benchmarks/ops.py --write docs/kernels.md

models: $(STAMP)  ## rewrite docs/models.md: parity, ops, transposes, seconds and MB of every model in the table
	$(BIN)/python benchmarks/models.py --write docs/models.md

zoo: $(STAMP)  ## rewrite docs/zoo.md: 150 small architectures, fixed and varying extents, both artifacts (an hour)
	$(BIN)/python benchmarks/zoo.py --write docs/zoo.md

routes: $(STAMP)  ## rewrite docs/routes.md: every converter on many models; fetches their environments (5.2 GB)
	$(BIN)/edgeworthy routes install onnx2tf onnx2tf-1 litert-torch onnx-tf
	$(BIN)/python benchmarks/peers.py --convert
	$(BIN)/python benchmarks/peers.py --time --write docs/routes.md

clean:
	rm -rf $(VENV) $(BASE) $(GPU) $(SERVING) out build dist *.egg-info
