// Depth of camera frames on Android with onnxruntime and a file that kdcli exported; see README.md.
package org.example.depth

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import android.graphics.Bitmap
import android.graphics.Matrix
import androidx.camera.core.ImageProxy
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val INPUT = "image"
private const val OUTPUT = "depth"
private const val HEIGHT = 240
private const val WIDTH = 320

/** Depth row by row, and what its numbers mean: kind as kdcli names it, unit "m" or none. */
class DepthMap(val values: FloatArray, val height: Int, val width: Int, val kind: String, val unit: String) {
    /** The value at a place of the upright picture, x and y in 0..1. */
    fun at(x: Float, y: Float): Float {
        val column = (x * width).toInt().coerceIn(0, width - 1)
        val row = (y * height).toInt().coerceIn(0, height - 1)
        return values[row * width + column]
    }
}

/** A file's bytes, opened once, for instance `DepthModel(assets.open("small.onnx").readBytes())`. One thread at a time. */
class DepthModel(file: ByteArray, threads: Int = 4) : AutoCloseable {
    private val environment = OrtEnvironment.getEnvironment()
    private val session: OrtSession = OrtSession.SessionOptions().use { options ->
        options.setIntraOpNumThreads(threads)
        environment.createSession(file, options)
    }
    private val about: Map<String, String> = session.metadata.customMetadata
    private val kind = requireNotNull(about["depth_kind"]) { "give a file that kdcli export wrote" }
    private val unit = about["unit"].orEmpty()
    private val pixels = IntArray(HEIGHT * WIDTH)
    private val bytes = ByteBuffer.allocateDirect(HEIGHT * WIDTH * 3).order(ByteOrder.nativeOrder())

    /** Depth of a picture, which is stretched to the size that the file takes. */
    fun depthOf(picture: Bitmap): DepthMap {
        shrunk(picture).getPixels(pixels, 0, WIDTH, 0, 0, WIDTH, HEIGHT)
        bytes.rewind()
        for (pixel in pixels) { // red, green, blue; what a Bitmap has above them is alpha
            bytes.put((pixel shr 16).toByte())
            bytes.put((pixel shr 8).toByte())
            bytes.put(pixel.toByte())
        }
        bytes.rewind()
        val shape = longArrayOf(1, HEIGHT.toLong(), WIDTH.toLong(), 3)
        OnnxTensor.createTensor(environment, bytes, shape, OnnxJavaType.UINT8).use { image ->
            session.run(mapOf(INPUT to image)).use { given ->
                val depth = given.get(OUTPUT).get() as OnnxTensor
                val (_, _, height, width) = depth.info.shape.map { it.toInt() }
                val values = FloatArray(height * width)
                depth.floatBuffer.get(values)
                return DepthMap(values, height, width, kind, unit)
            }
        }
    }

    /** Depth of a frame of CameraX, upright; the frame is closed by whoever asked for it. */
    fun depthOf(frame: ImageProxy): DepthMap {
        val picture = frame.toBitmap()
        val turn = Matrix().apply { postRotate(frame.imageInfo.rotationDegrees.toFloat()) }
        return depthOf(Bitmap.createBitmap(picture, 0, 0, picture.width, picture.height, turn, true))
    }

    override fun close() = session.close()
}

/** Halved until the last step is less than half: one large step would leave pixels out, which a network notices. */
private fun shrunk(picture: Bitmap): Bitmap {
    var now = picture
    while (now.width >= 2 * WIDTH && now.height >= 2 * HEIGHT) {
        now = Bitmap.createScaledBitmap(now, now.width / 2, now.height / 2, true)
    }
    return Bitmap.createScaledBitmap(now, WIDTH, HEIGHT, true)
}
