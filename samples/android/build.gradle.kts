// Android Gradle plugin 9 compiles Kotlin itself; it takes Gradle 9.4.1 and JDK 17.
plugins {
    id("com.android.application") version "9.2.1" apply false
}
