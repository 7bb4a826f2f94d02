package edgeworthy.sample

import kotlin.math.abs
import kotlin.math.log10
import kotlin.math.max
import kotlin.math.roundToLong
import kotlin.math.sqrt

/** The rule that an output is held to, as `edgeworthy validate` has it. */
sealed interface Tolerance {
    /** Says what is wrong over all samples, or null. */
    fun breach(
        actual: List<DoubleArray>,
        expected: List<DoubleArray>,
    ): String?

    /** A multiple of the noise floor of float32 arithmetic. */
    data class Floor(
        val rms: Double,
        val maxAbs: Double,
    ) : Tolerance {
        override fun breach(
            actual: List<DoubleArray>,
            expected: List<DoubleArray>,
        ): String? {
            val errors = Errors.of(actual, expected) ?: return NOT_FINITE
            val far = errors.rms > rms || errors.maxAbs > maxAbs
            val found = "rms error ${errors.rms} (at most $rms), largest ${errors.maxAbs} (at most $maxAbs)"
            return if (far) found else null
        }
    }

    /** A signal-to-noise ratio, of what is quantized or computed in half precision. */
    data class Sqnr(
        val leastDb: Double,
    ) : Tolerance {
        override fun breach(
            actual: List<DoubleArray>,
            expected: List<DoubleArray>,
        ): String? {
            val errors = Errors.of(actual, expected) ?: return NOT_FINITE
            return if (errors.sqnrDb < leastDb) "SQNR ${errors.sqnrDb} dB, and the least is $leastDb dB" else null
        }
    }

    /** Steps of the scale of a quantized output, and a signal-to-noise ratio. */
    data class Quanta(
        val step: Double,
        val most: Double,
        val leastDb: Double,
    ) : Tolerance {
        override fun breach(
            actual: List<DoubleArray>,
            expected: List<DoubleArray>,
        ): String? {
            val errors = Errors.of(actual, expected) ?: return NOT_FINITE
            val quanta = (100 * errors.maxAbs / step).roundToLong() / 100.0
            return if (quanta > most) "$quanta quanta off (at most $most)" else Sqnr(leastDb).breach(actual, expected)
        }
    }

    /** A share of equal elements, of integers and booleans. */
    data class Equal(
        val least: Double,
    ) : Tolerance {
        override fun breach(
            actual: List<DoubleArray>,
            expected: List<DoubleArray>,
        ): String? {
            val pairs = pairs(actual, expected)
            val share = if (pairs.isEmpty()) 1.0 else pairs.count { (a, b) -> a == b }.toDouble() / pairs.size
            return if (share < least) "$share of the elements are equal, and the least is $least" else null
        }
    }

    companion object {
        const val NOT_FINITE = "NaN or infinity where the expected output has none, or another"
    }
}

/** How far outputs are from the expected ones, over all elements of all samples. */
data class Errors(
    val rms: Double,
    val maxAbs: Double,
    val sqnrDb: Double,
) {
    companion object {
        /** The errors of the finite elements; null where others differ. */
        fun of(
            actual: List<DoubleArray>,
            expected: List<DoubleArray>,
        ): Errors? {
            var noise = 0.0
            var signal = 0.0
            var most = 0.0
            var count = 0
            for ((a, b) in pairs(actual, expected)) {
                if (!a.isFinite() || !b.isFinite()) {
                    if (a.compareTo(b) != 0) return null
                    continue
                }
                noise += (a - b) * (a - b)
                signal += b * b
                most = max(most, abs(a - b))
                count++
            }
            val sqnr = if (noise == 0.0) Double.POSITIVE_INFINITY else 10 * log10(signal / noise)
            return Errors(if (count == 0) 0.0 else sqrt(noise / count), most, sqnr)
        }
    }
}

private fun pairs(
    actual: List<DoubleArray>,
    expected: List<DoubleArray>,
): List<Pair<Double, Double>> {
    require(actual.size == expected.size) { "${actual.size} samples, and ${expected.size} were expected" }
    return actual.zip(expected).flatMap { (a, b) ->
        require(a.size == b.size) { "${a.size} elements, and ${b.size} were expected" }
        a.zip(b)
    }
}
