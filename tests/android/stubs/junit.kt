@file:Suppress("UNUSED_PARAMETER")

package org.junit

annotation class Test

object Assert {
    @JvmStatic
    fun assertEquals(expected: Any?, actual: Any?): Unit = TODO()

    @JvmStatic
    fun assertTrue(message: String, condition: Boolean): Unit = TODO()
}

object Assume {
    @JvmStatic
    fun assumeNoException(message: String, error: Throwable): Unit = TODO()
}
