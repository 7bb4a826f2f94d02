package edgeworthy.sample

/** Times of single inferences in nanoseconds, in the order they were taken. */
class Latency(
    nanoseconds: LongArray,
) {
    private val sorted = nanoseconds.sortedArray()

    init {
        require(sorted.isNotEmpty()) { "nothing was timed" }
    }

    val count: Int get() = sorted.size
    val medianMs: Double get() = quantile(0.5)
    val p90Ms: Double get() = quantile(0.9)

    /** Between the nearest two times, as numpy's default. */
    fun quantile(part: Double): Double {
        val at = part * (sorted.size - 1)
        val below = at.toInt()
        val above = minOf(below + 1, sorted.size - 1)
        return (sorted[below] + (at - below) * (sorted[above] - sorted[below])) / 1e6
    }

    override fun toString() =
        "%.3f ms median, %.3f ms 90 %% of %d".format(java.util.Locale.ROOT, medianMs, p90Ms, count)

    companion object {
        private const val WARM_UP = 10

        /** Runs `once` some times unseen and then for so many seconds, 20 times at least. */
        fun measure(
            seconds: Double,
            once: () -> Long,
        ): Latency {
            repeat(WARM_UP) { once() }
            val end = System.nanoTime() + (seconds * 1e9).toLong()
            val times = ArrayList<Long>()
            while (times.size < 20 || System.nanoTime() < end) times.add(once())
            return Latency(times.toLongArray())
        }
    }
}
