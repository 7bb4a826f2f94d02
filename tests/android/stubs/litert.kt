// Declarations of com.google.ai.edge.litert:litert 2.3, for compiling against: nothing here runs.
// From CompiledModel.kt, TensorBuffer.kt, Common.kt and LiteRtException.kt of google-ai-edge/LiteRT (Apache-2.0).
@file:Suppress("UNUSED_PARAMETER")

package com.google.ai.edge.litert

import android.content.res.AssetManager

enum class Accelerator { NONE, CPU, GPU, NPU }

enum class Status { Ok, ErrorInvalidArgument, ErrorRuntimeFailure, ErrorUnsupported }

class LiteRtException(private val status: Status, message: String) : Exception(message)

abstract class JniHandle internal constructor(internal val handle: Long) : AutoCloseable {
    final override fun close(): Unit = TODO()
}

class Environment private constructor(handle: Long) : JniHandle(handle)

class TensorBuffer internal constructor(handle: Long) : JniHandle(handle) {
    @Throws(LiteRtException::class)
    fun writeInt(data: IntArray): Unit = TODO()

    @Throws(LiteRtException::class)
    fun writeFloat(data: FloatArray): Unit = TODO()

    @Throws(LiteRtException::class)
    fun writeInt8(data: ByteArray): Unit = TODO()

    @Throws(LiteRtException::class)
    fun writeBoolean(data: BooleanArray): Unit = TODO()

    @Throws(LiteRtException::class)
    fun writeLong(data: LongArray): Unit = TODO()

    @Throws(LiteRtException::class)
    fun readInt(): IntArray = TODO()

    @Throws(LiteRtException::class)
    fun readFloat(): FloatArray = TODO()

    @Throws(LiteRtException::class)
    fun readInt8(): ByteArray = TODO()

    @Throws(LiteRtException::class)
    fun readBoolean(): BooleanArray = TODO()

    @Throws(LiteRtException::class)
    fun readLong(): LongArray = TODO()
}

class CompiledModel private constructor(handle: Long) : JniHandle(handle) {
    data class GpuOptions(
        val constantTensorSharing: Boolean? = null,
        val infiniteFloatCapping: Boolean? = null,
        val allowSrcQuantizedFcConvOps: Boolean? = null,
        val precision: Precision? = null,
    ) {
        enum class Precision { DEFAULT, FP16, FP32 }
    }

    class Options(internal val accelerators: Set<Accelerator>) {
        constructor(vararg accelerators: Accelerator) : this(setOf(*accelerators))

        var gpuOptions: GpuOptions? = null
    }

    @Throws(LiteRtException::class)
    fun createInputBuffer(inputName: String, signature: String = ""): TensorBuffer = TODO()

    @Throws(LiteRtException::class)
    fun createOutputBuffer(outputName: String, signature: String = ""): TensorBuffer = TODO()

    @Throws(LiteRtException::class)
    @JvmOverloads
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0): Unit = TODO()

    @Throws(LiteRtException::class)
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signature: String): Unit = TODO()

    @Throws(LiteRtException::class)
    fun run(inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String = ""): Unit = TODO()

    companion object {
        @Throws(LiteRtException::class)
        @JvmOverloads
        @JvmStatic
        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options,
            optionalEnv: Environment? = null,
        ): CompiledModel = TODO()
    }
}
