// Declarations of Android's API, for compiling against: nothing here runs.
@file:Suppress("UNUSED_PARAMETER")

package android.content.res

import java.io.InputStream

class AssetManager private constructor() {
    fun open(fileName: String): InputStream = TODO()

    fun list(path: String): Array<String>? = TODO()
}
