// What needs no Android, called by test_compile.py: the first argument says what, files hold the numbers.

import com.example.model.Int8
import com.example.model.Uint8
import edgeworthy.sample.Latency
import edgeworthy.sample.Tolerance
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

fun main(arguments: Array<String>) {
    val (what, input, output) = arguments
    val data = ByteBuffer.wrap(File(input).readBytes()).order(ByteOrder.LITTLE_ENDIAN)
    val result: Any =
        when (what) {
            "quantize int8" -> Int8.ServingDefault.quantizeImage(floats(data))
            "quantize uint8" -> Uint8.ServingDefault.quantizeImage(floats(data))
            "dequantize int8" -> values(data, Int8.ServingDefault::dequantizeLogits)
            "dequantize uint8" -> values(data, Uint8.ServingDefault::dequantizeLogits)
            "wrong input" -> refusal { Int8.ServingDefault.quantizeImage(FloatArray(3)) }
            "wrong output" -> refusal { Int8.ServingDefault.dequantizeLogits(ByteArray(11)) }
            "latency" -> Latency(LongArray(data.remaining() / 8) { data.getLong() }).run { "$medianMs $p90Ms $count" }
            "floor" -> breach(Tolerance.Floor(0.5, 1.0), data)
            "sqnr" -> breach(Tolerance.Sqnr(20.0), data)
            "quanta" -> breach(Tolerance.Quanta(0.25, 4.0, 10.0), data)
            "equal" -> breach(Tolerance.Equal(0.5), data)
            else -> error(what)
        }
    File(output).writeBytes(
        when (result) {
            is ByteArray -> result
            is FloatArray -> bytes(result)
            else -> result.toString().toByteArray()
        },
    )
}

private fun floats(data: ByteBuffer) = FloatArray(data.remaining() / 4) { data.getFloat() }

private fun values(
    data: ByteBuffer,
    dequantize: (ByteArray) -> FloatArray,
): FloatArray =
    data
        .array()
        .toList()
        .chunked(10)
        .flatMap { dequantize(it.toByteArray()).toList() }
        .toFloatArray()

private fun refusal(call: () -> Unit): String = runCatching(call).exceptionOrNull().toString()

private fun bytes(values: FloatArray): ByteArray =
    ByteBuffer.allocate(4 * values.size).order(ByteOrder.LITTLE_ENDIAN).also { it.asFloatBuffer().put(values) }.array()

/** Of two samples: the actual elements, then the expected ones. */
private fun breach(
    tolerance: Tolerance,
    data: ByteBuffer,
): String {
    val all = DoubleArray(data.remaining() / 8) { data.getDouble() }.toList().chunked(data.capacity() / 32)
    val (actual, expected) = all.map { it.toDoubleArray() }.chunked(2)
    return tolerance.breach(actual, expected) ?: "holds"
}
