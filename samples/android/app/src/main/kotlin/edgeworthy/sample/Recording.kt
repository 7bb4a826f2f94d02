package edgeworthy.sample

import android.content.res.AssetManager
import org.json.JSONArray
import org.json.JSONObject
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** An input or an output as the index describes it. */
class Tensor(
    json: JSONObject,
) {
    val name: String = json.getString("name")
    val dtype: String = json.getString("dtype")
    val shape: List<Int> = json.getJSONArray("shape").let { axes -> List(axes.length()) { axes.getInt(it) } }
    private val scale: Double? = if (json.has("scale")) json.getDouble("scale") else null
    private val zeroPoint: Int = json.optInt("zero_point", 0)

    /** The rule for float32 and integer arithmetic. */
    val tolerance: Tolerance? = json.optJSONObject("tolerance")?.let(::toleranceOf)

    /** The rule for a GPU in half precision. */
    val toleranceFloat16: Tolerance? = json.optJSONObject("tolerance_float16")?.let(::toleranceOf)

    /** Little-endian elements as numbers: of quantized tensors the values that the steps stand for. */
    fun decode(data: ByteBuffer): DoubleArray {
        val elements = data.order(ByteOrder.LITTLE_ENDIAN)
        val size = shape.fold(1) { product, extent -> product * extent }
        return DoubleArray(size) {
            when (dtype) {
                "float32" -> elements.getFloat().toDouble()
                "int32" -> elements.getInt().toDouble()
                "int64" -> elements.getLong().toDouble()
                "int8" -> valueOf(elements.get().toInt())
                "uint8" -> valueOf(elements.get().toInt() and 0xFF)
                "bool" -> elements.get().toDouble()
                else -> error("the app knows no $dtype")
            }
        }
    }

    private fun valueOf(step: Int): Double = if (scale == null) step.toDouble() else (step - zeroPoint) * scale

    override fun toString() = "$name: $dtype$shape"
}

/** What `edgeworthy export-android` wrote to one folder of the assets. */
class Recording(
    private val assets: AssetManager,
    val folder: String,
) {
    private val index = JSONObject(assets.open("$folder/index.json").bufferedReader().use { it.readText() })
    private val vectors = assets.open("$folder/${index.getString("vectors")}").use { it.readBytes() }
    private val places: JSONArray = index.getJSONArray("samples")

    val model: String = "$folder/${index.getString("model")}"
    val scheme: String = index.getString("scheme")
    val signature: String? = if (index.isNull("signature")) null else index.getString("signature")
    val inputs: List<Tensor> = tensors("inputs")
    val outputs: List<Tensor> = tensors("outputs")
    val samples: Int = places.length()

    /** The recorded bytes of an input or, by `side`, an `outputs` of a sample. */
    fun bytes(
        sample: Int,
        side: String,
        tensor: Tensor,
    ): ByteBuffer {
        val place = places.getJSONObject(sample).getJSONObject(side).getJSONObject(tensor.name)
        return ByteBuffer
            .wrap(
                vectors,
                place.getInt("offset"),
                place.getInt("bytes"),
            ).slice()
            .order(ByteOrder.LITTLE_ENDIAN)
    }

    private fun tensors(side: String): List<Tensor> =
        index.getJSONArray(side).let { all -> List(all.length()) { Tensor(all.getJSONObject(it)) } }

    companion object {
        /** Every recording in the assets. */
        fun all(assets: AssetManager): List<Recording> =
            assets
                .list("")
                .orEmpty()
                .filter { "index.json" in assets.list(it).orEmpty() }
                .map { Recording(assets, it) }
    }
}

private fun toleranceOf(json: JSONObject): Tolerance =
    when (val rule = json.getString("rule")) {
        "floor" -> Tolerance.Floor(json.getDouble("rms"), json.getDouble("max_abs"))
        "sqnr" -> Tolerance.Sqnr(json.getDouble("least_db"))
        "quanta" -> Tolerance.Quanta(json.getDouble("step"), json.getDouble("most"), json.getDouble("least_db"))
        "equal" -> Tolerance.Equal(json.getDouble("least"))
        else -> error("the app knows no rule $rule")
    }
