"""``[data]`` and ``[quantize]`` of `edgeworthy.toml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .tables import Engine, FilePath, Flag, IoDtype, PathOrSpec, PositiveFloat, PositiveInt, Share, Table


class PreprocessTable(Table):
    """``[quantize.preprocess]``: how the image files of a calibration folder become input arrays."""

    size: Annotated[list[PositiveInt] | None, Flag("--size", metavar="H,W")] = Field(
        default=None, min_length=1, max_length=2, examples=[[224, 224]]
    )
    """[height, width] of the model's images, or one number for both; default: the model's own"""
    mean: Annotated[list[float], Flag("--mean", metavar="R,G,B")] = Field(default=[0.0])
    """mean of the training images, on pixels scaled to 0…1; one number, or one a channel"""
    std: Annotated[list[PositiveFloat], Flag("--std", metavar="R,G,B")] = Field(default=[1.0])
    """standard deviation of the training images; one number, or one a channel"""
    colour: Annotated[Literal["rgb", "bgr", "grey"], Flag("--colour")] = "rgb"
    """channel order of the model's input"""
    layout: Annotated[Literal["NCHW", "NHWC"] | None, Flag("--layout")] = Field(default=None, examples=["NCHW"])
    """layout of the model's images; default: the axis with 1 or 3 entries holds the channels"""
    fit: Annotated[Literal["crop", "stretch", "pad"], Flag("--fit")] = "crop"
    """how another aspect ratio becomes the model's"""
    resize: Annotated[PositiveInt | None, Flag("--resize")] = Field(default=None, examples=[256])
    """shorter side before the centre crop, such as 256 for a 224 crop"""
    crop: Annotated[list[PositiveInt] | None, Flag("--crop", metavar="H,W")] = Field(
        default=None, min_length=1, max_length=2, examples=[[224, 224]]
    )
    """[height, width] of the centre crop, or one number for both; the same as size with fit = "crop\""""
    interpolation: Annotated[Literal["nearest", "bilinear", "bicubic", "lanczos"], Flag("--interpolation")] = "bilinear"
    """how the pixels of another size are found"""


class DataTable(Table):
    """``[data]``: how texts, sound and code of calibration and labelled data become input arrays."""

    tokenizer: Annotated[FilePath | None, Flag("--tokenizer")] = Field(default=None, examples=["tokenizer.json"])
    """of texts: a tokenizer.json, or a folder as transformers saves it"""
    text_column: Annotated[str, Flag("--text-column", metavar="NAME")] = "text"
    """the column of a table that holds texts"""
    sample_rate: Annotated[PositiveInt | None, Flag("--sample-rate")] = Field(default=None, examples=[16000])
    """the model's, in Hz; sound of another rate is refused and not resampled"""
    timeout_s: Annotated[PositiveFloat, Flag("--data-timeout", metavar="SECONDS")] = 300.0
    """seconds that a generator or DataLoader may take for one sample before it counts as hung"""


class BudgetTable(Table):
    """``[quantize.budget]``: what ``--repair`` has to reach, at the least latency measured on this machine."""

    min_sqnr_db: Annotated[float | None, Flag("--min-sqnr-db", metavar="DB")] = 25.0
    """least SQNR against the float32 file, of the worst group of channels of the worst output"""
    min_agreement: Annotated[Share | None, Flag("--min-agreement", metavar="SHARE")] = Field(
        default=None, examples=[0.99]
    )
    """least share of the samples with the float32 file's top-1 class"""
    max_accuracy_drop: Annotated[Share | None, Flag("--max-accuracy-drop", metavar="SHARE")] = Field(
        default=None, examples=[0.005]
    )
    """most that the accuracy on the labelled data may fall, as a share of the samples"""
    seconds: Annotated[PositiveFloat, Flag("--repair-seconds", metavar="SECONDS")] = 300.0
    """time for trials, for each file"""


class QuantizeTable(Table):
    """``[quantize]``: float TFLite to quantized TFLite."""

    schemes: Annotated[list[str] | None, Flag("--scheme", metavar="SCHEMES")] = Field(
        default=None, examples=[["float16", "dynamic_wi8_afp32", "int8"]]
    )
    """quantization schemes; default: float16, dynamic_wi8_afp32, and int8 when there is calibration data"""
    calibration: Annotated[PathOrSpec | None, Flag("--calibration", metavar="DATA")] = Field(
        default=None, examples=["images"]
    )
    """.npz, .npy, .csv, .parquet, .txt or .wav, a folder of images or .wav, file.py:NAME, sample:NAME, or random"""
    samples: Annotated[PositiveInt | None, Flag("--samples")] = Field(default=None, examples=[128])
    """most calibration samples to use; default: 128, or all of a set that was saved"""
    save_calibration: Annotated[FilePath | None, Flag("--save-calibration")] = Field(default=None, examples=["c.npz"])
    """.npz to write exactly the calibration samples to that are used; given as calibration it gives the same files"""
    io_dtype: Annotated[IoDtype, Flag("--io-dtype")] = "float32"
    """data type of int8 models' inputs and outputs"""
    ranges: Annotated[str, Flag("--ranges", metavar="METHOD")] = "auto"
    """how samples become ranges of int8 models' activations: min_max, moving_average, sample_extremes, percentile, mse
    or entropy (docs/quantization.md); auto tries them and keeps what is best on samples that no range was taken from"""
    weight_ranges: Annotated[Literal["auto", "max", "octav"], Flag("--weight-ranges")] = "auto"
    """how far the integers of weights reach: max, to the largest; octav, to where clipping and rounding cost least;
    auto tries that for int4"""
    bias_correction: Annotated[Literal["auto", "on", "off"], Flag("--bias-correction")] = "auto"
    """whether biases of int8 models make up for the mean error of their rounded weights; auto tries it"""
    engine: Annotated[Engine, Flag("--engine")] = "ai-edge"
    """what quantizes: ai-edge-quantizer, TensorFlow's own quantizer from the SavedModel, or the better of both"""
    device: Annotated[str, Flag("--device", metavar="DEVICE")] = Field(default="cpu", examples=["ethos-u"])
    """what static schemes are quantized for: what it computes better in float stays so; cpu (x86 and arm), x86, arm,
    reference, npu, ethos-u or edgetpu; where it isn't given, a target of preflight (--for) that is one of these"""
    full_integer: Annotated[bool, Flag("--full-integer")] = False
    """no operator may stay float, whatever it costs; one that has to is an error"""
    exclude: Annotated[list[str], Flag("--exclude", metavar="PATTERN", repeat=True)] = Field(
        default=[], examples=[["HARD_SWISH", "head.cls"]]
    )
    """operators that stay float, by kind (HARD_SWISH), a part of a tensor's name, or PyTorch module"""
    keep_float: Annotated[list[str], Flag("--keep-float", metavar="PATTERN", repeat=True)] = Field(
        default=[], examples=[["SOFTMAX"]]
    )
    """the same as exclude"""
    only: Annotated[list[str], Flag("--only", metavar="PATTERN", repeat=True)] = Field(default=[], examples=[["head"]])
    """operators that alone are quantized, by the same patterns; all others stay float"""
    recipe: Annotated[FilePath | None, Flag("--recipe")] = Field(default=None, examples=["out/model_int8.recipe.json"])
    """recipe of a quantized file, as it lies beside it: makes the same bytes again, of the same model and data"""
    floor_db: Annotated[float | None, Flag("--floor-db", metavar="DB")] = Field(default=None, examples=[20.0])
    """least SQNR of a quantized file against the float32 model, of each output and each group of its channels; default:
    the scheme's own, 15 dB (float16: 40)"""
    accept: Annotated[bool, Flag("--accept")] = False
    """let `quantize` exit 0 though a file is below its floor"""
    analyze: Annotated[bool, Flag("--analyze")] = False
    """hold each quantized file against the float one layer by layer: analysis.json and analysis.html"""
    sensitivity: Annotated[Literal["one", "all-but-one"] | None, Flag("--sensitivity")] = Field(
        default=None, examples=["all-but-one"]
    )
    """with --analyze: quantize one operator at a time, or all but one, and measure the outputs"""
    sensitivity_layers: Annotated[PositiveInt, Flag("--sensitivity-layers")] = 32
    """most operators to try, those with the largest local error first"""
    sensitivity_seconds: Annotated[PositiveFloat, Flag("--sensitivity-seconds")] = 120.0
    """time after which no other operator is tried"""
    repair: Annotated[bool, Flag("--repair")] = False
    """search for the recipe of the fastest file of a calibrated scheme that meets the budget"""
    budget: BudgetTable = BudgetTable()
    preprocess: PreprocessTable | None = None

    @property
    def stays_float(self) -> list[str]:
        """The patterns of ``exclude`` and ``keep_float``."""
        return [*self.exclude, *self.keep_float]


class RecommendTable(Table):
    """``[recommend]``: what a recommended file keeps to besides ``[quantize.budget]``, and how long to look for it."""

    prefer: Annotated[Literal["latency", "size"], Flag("--prefer")] = "latency"
    """what decides among the files that keep to all limits; then the other, then how true they are"""
    max_size_mb: Annotated[PositiveFloat | None, Flag("--max-size", metavar="MB")] = Field(default=None, examples=[4.0])
    """largest file, in millions of bytes"""
    max_latency_ratio: Annotated[PositiveFloat | None, Flag("--max-latency-ratio", metavar="RATIO")] = Field(
        default=None, examples=[0.5]
    )
    """most that one inference may take, as a multiple of the float32 file's time"""
    min_accuracy: Annotated[float | None, Flag("--min-accuracy", metavar="VALUE")] = Field(
        default=None, examples=[0.95]
    )
    """least accuracy on the labelled data"""
    time_limit_s: Annotated[PositiveFloat, Flag("--time-limit", metavar="SECONDS")] = 900.0
    """time after which no other way to quantize is begun; those that were made are measured and ranked"""
