@file:Suppress("UNUSED_PARAMETER")

package android.view

open class View {
    fun setPadding(left: Int, top: Int, right: Int, bottom: Int): Unit = TODO()
}
