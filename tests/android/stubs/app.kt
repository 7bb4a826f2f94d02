@file:Suppress("UNUSED_PARAMETER")

package android.app

import android.content.Context
import android.content.res.AssetManager
import android.os.Bundle
import android.view.View

open class Activity : Context() {
    override val assets: AssetManager get() = TODO()

    protected open fun onCreate(savedInstanceState: Bundle?): Unit = TODO()

    protected open fun onDestroy(): Unit = TODO()

    fun setContentView(view: View): Unit = TODO()

    fun runOnUiThread(action: Runnable): Unit = TODO()
}

class Instrumentation {
    val targetContext: Context get() = TODO()
}
