package edgeworthy.sample

import android.app.Activity
import android.os.Bundle
import android.widget.ScrollView
import android.widget.TextView
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.LiteRtException
import kotlin.concurrent.thread

/** Times every model in the assets on the GPU and on the CPU, and says what each takes and gives. */
class LatencyActivity : Activity() {
    @Volatile private var stopped = false

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val text = TextView(this)
        text.setPadding(PADDING, PADDING, PADDING, PADDING)
        text.setTextIsSelectable(true)
        setContentView(ScrollView(this).also { it.addView(text) })
        thread(name = "latency") {
            val recordings = Recording.all(assets)
            if (recordings.isEmpty()) show(text, "No model in the assets: see the README.\n")
            for (recording in recordings) {
                show(text, describe(recording))
                for (accelerator in listOf(Accelerator.GPU, Accelerator.CPU)) {
                    if (!stopped) show(text, "$accelerator: ${latency(recording, accelerator)}\n")
                }
            }
        }
    }

    override fun onDestroy() {
        stopped = true
        super.onDestroy()
    }

    private fun describe(recording: Recording): String =
        buildString {
            append("\n${recording.folder} (${recording.scheme})\n")
            recording.inputs.forEach { append("  takes $it\n") }
            recording.outputs.forEach { append("  gives $it\n") }
        }

    private fun latency(
        recording: Recording,
        accelerator: Accelerator,
    ): String =
        try {
            Player.create(assets, recording, listOf(accelerator)).use { player ->
                player.load(0)
                Latency.measure(SECONDS, player::time).toString()
            }
        } catch (error: LiteRtException) {
            "refuses it: ${error.message}"
        }

    private fun show(
        view: TextView,
        line: String,
    ) = runOnUiThread { view.append(line) }

    private companion object {
        const val PADDING = 32
        const val SECONDS = 3.0
    }
}
