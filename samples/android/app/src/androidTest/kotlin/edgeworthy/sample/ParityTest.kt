package edgeworthy.sample

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel.GpuOptions.Precision
import com.google.ai.edge.litert.LiteRtException
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeNoException
import org.junit.Test
import org.junit.runner.RunWith

/** Every model in the assets computes on this phone what LiteRT computed where it was exported. */
@RunWith(AndroidJUnit4::class)
class ParityTest {
    private val assets = InstrumentationRegistry.getInstrumentation().targetContext.assets
    private val recordings = Recording.all(assets)

    @Test
    fun thereIsAModel() = assertTrue("run `edgeworthy export-android` first, see the README", recordings.isNotEmpty())

    @Test
    fun onTheCpu() = compare(Accelerator.CPU, Precision.DEFAULT) { it.tolerance }

    @Test
    fun onTheGpuInFloat32() = compare(Accelerator.GPU, Precision.FP32) { it.tolerance }

    @Test
    fun onTheGpuAsItLikes() = compare(Accelerator.GPU, Precision.DEFAULT) { it.toleranceFloat16 ?: it.tolerance }

    private fun compare(
        accelerator: Accelerator,
        precision: Precision,
        rule: (Tensor) -> Tolerance?,
    ) {
        val wrong =
            recordings.flatMap { recording ->
                player(recording, accelerator, precision).use { player ->
                    val results =
                        List(recording.samples) { sample ->
                            player.load(sample)
                            player.results()
                        }
                    recording.outputs.mapNotNull { output ->
                        val expected =
                            List(recording.samples) { output.decode(recording.bytes(it, "outputs", output)) }
                        val breach =
                            requireNotNull(rule(output)).breach(results.map { it.getValue(output.name) }, expected)
                        breach?.let { "${recording.folder}, $output on $accelerator: $it" }
                    }
                }
            }
        assertEquals(emptyList<String>(), wrong)
    }

    /** A GPU may refuse a model, and then the test is skipped with what it said; a CPU may not. */
    private fun player(
        recording: Recording,
        accelerator: Accelerator,
        precision: Precision,
    ): Player =
        try {
            Player.create(assets, recording, listOf(accelerator), precision)
        } catch (error: LiteRtException) {
            if (accelerator == Accelerator.GPU) assumeNoException("the GPU refuses ${recording.folder}", error)
            throw error
        }
}
