@file:Suppress("UNUSED_PARAMETER")

package org.json

class JSONArray {
    fun length(): Int = TODO()

    fun getInt(index: Int): Int = TODO()

    fun getJSONObject(index: Int): JSONObject = TODO()
}

class JSONObject(json: String) {
    fun has(name: String): Boolean = TODO()

    fun isNull(name: String): Boolean = TODO()

    fun getString(name: String): String = TODO()

    fun getInt(name: String): Int = TODO()

    fun optInt(name: String, fallback: Int): Int = TODO()

    fun getDouble(name: String): Double = TODO()

    fun getJSONArray(name: String): JSONArray = TODO()

    fun getJSONObject(name: String): JSONObject = TODO()

    fun optJSONObject(name: String): JSONObject? = TODO()
}
