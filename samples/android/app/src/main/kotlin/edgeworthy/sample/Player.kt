package edgeworthy.sample

import android.content.res.AssetManager
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A recorded model on one accelerator, by the names and dtypes of its index. An app of one model has its typed class. */
class Player private constructor(
    private val recording: Recording,
    private val model: CompiledModel,
    val accelerator: Accelerator,
    val refusal: LiteRtException?,
) : AutoCloseable {
    private val inputs = recording.inputs.associate { it.name to inputBuffer(it.name) }
    private val outputs = recording.outputs.associate { it.name to outputBuffer(it.name) }

    /** Puts a sample's inputs into the buffers. */
    fun load(sample: Int) {
        for (tensor in recording.inputs) {
            write(inputs.getValue(tensor.name), tensor.dtype, recording.bytes(sample, "inputs", tensor))
        }
    }

    /** Runs once and gives nanoseconds, with reading every output back: before that a GPU may not be done. */
    fun time(): Long {
        val begin = System.nanoTime()
        run()
        for (tensor in recording.outputs) read(outputs.getValue(tensor.name), tensor.dtype)
        return System.nanoTime() - begin
    }

    /** Runs once and gives the outputs by name, as values. */
    fun results(): Map<String, DoubleArray> {
        run()
        return recording.outputs.associate { it.name to it.decode(read(outputs.getValue(it.name), it.dtype)) }
    }

    override fun close() {
        inputs.values.forEach { it.close() }
        outputs.values.forEach { it.close() }
        model.close()
    }

    private fun run() {
        val signature = recording.signature
        if (signature == null) model.run(inputs, outputs) else model.run(inputs, outputs, signature)
    }

    private fun inputBuffer(name: String): TensorBuffer {
        val signature = recording.signature
        return if (signature == null) model.createInputBuffer(name) else model.createInputBuffer(name, signature)
    }

    private fun outputBuffer(name: String): TensorBuffer {
        val signature = recording.signature
        return if (signature == null) model.createOutputBuffer(name) else model.createOutputBuffer(name, signature)
    }

    companion object {
        /** The model on the first of the accelerators that takes all of it. */
        @Throws(LiteRtException::class)
        fun create(
            assets: AssetManager,
            recording: Recording,
            preferred: List<Accelerator> = listOf(Accelerator.GPU, Accelerator.CPU),
            precision: CompiledModel.GpuOptions.Precision = CompiledModel.GpuOptions.Precision.DEFAULT,
        ): Player {
            var refusal: LiteRtException? = null
            for (accelerator in preferred) {
                val options = CompiledModel.Options(accelerator)
                if (accelerator == Accelerator.GPU) options.gpuOptions = CompiledModel.GpuOptions(precision = precision)
                try {
                    return on(CompiledModel.create(assets, recording.model, options), recording, accelerator, refusal)
                } catch (error: LiteRtException) {
                    refusal = error
                }
            }
            throw requireNotNull(refusal) { "there is nothing to try" }
        }

        private fun on(
            model: CompiledModel,
            recording: Recording,
            accelerator: Accelerator,
            refusal: LiteRtException?,
        ): Player =
            try {
                Player(recording, model, accelerator, refusal)
            } catch (error: LiteRtException) {
                model.close()
                throw error
            }
    }
}

private fun write(
    buffer: TensorBuffer,
    dtype: String,
    data: ByteBuffer,
) {
    when (dtype) {
        "float32" -> buffer.writeFloat(FloatArray(data.remaining() / 4).also { data.asFloatBuffer().get(it) })
        "int32" -> buffer.writeInt(IntArray(data.remaining() / 4).also { data.asIntBuffer().get(it) })
        "int64" -> buffer.writeLong(LongArray(data.remaining() / 8).also { data.asLongBuffer().get(it) })
        "int8", "uint8" -> buffer.writeInt8(ByteArray(data.remaining()).also { data.get(it) })
        "bool" -> buffer.writeBoolean(BooleanArray(data.remaining()) { data.get() != 0.toByte() })
        else -> error("the app knows no $dtype")
    }
}

private fun read(
    buffer: TensorBuffer,
    dtype: String,
): ByteBuffer =
    when (dtype) {
        "float32" -> buffer.readFloat().let { values -> filled(4 * values.size) { it.asFloatBuffer().put(values) } }
        "int32" -> buffer.readInt().let { values -> filled(4 * values.size) { it.asIntBuffer().put(values) } }
        "int64" -> buffer.readLong().let { values -> filled(8 * values.size) { it.asLongBuffer().put(values) } }
        "int8", "uint8" -> ByteBuffer.wrap(buffer.readInt8())
        "bool" -> buffer.readBoolean().let { v -> ByteBuffer.wrap(ByteArray(v.size) { if (v[it]) 1 else 0 }) }
        else -> error("the app knows no $dtype")
    }

private fun filled(
    size: Int,
    fill: (ByteBuffer) -> Unit,
): ByteBuffer = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN).also(fill)
