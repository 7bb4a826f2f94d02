@file:Suppress("UNUSED_PARAMETER")

package android.widget

import android.content.Context
import android.view.View

class TextView(context: Context) : View() {
    fun setTextIsSelectable(selectable: Boolean): Unit = TODO()

    fun append(text: CharSequence): Unit = TODO()
}

class ScrollView(context: Context) : View() {
    fun addView(child: View): Unit = TODO()
}
