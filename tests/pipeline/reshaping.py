"""Converters whose files have an axis of extent 1 more than the model, or less; part of ``converters``."""

CODE = """\
def _around(model, folder, shape, into, out):
    # The SavedModel of it, with its input of another shape and its output too, by TensorFlow's converter.
    import tensorflow as tf
    made = tf.saved_model.load(str(_convert(model, folder, to=["saved_model"]).saved_model.path))
    call = made.signatures["serving_default"]
    (name,), (gives,) = call.structured_input_signature[1], call.structured_outputs
    around = tf.function(
        lambda x: {gives: out(tf, call(**{name: into(tf, x)})[gives])},
        input_signature=[tf.TensorSpec(shape, tf.float32, name=name)],
    )
    path = folder / "around.tflite"
    found = [around.get_concrete_function()]
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions(found, made).convert())
    return path


def batched(model, folder):
    return _around(model, folder, [1, 3, 8, 6], lambda tf, x: x[0], lambda tf, y: y[None])


def last(model, folder):
    into, out = (lambda tf, x: tf.transpose(x[0], [2, 0, 1])), (lambda tf, y: tf.transpose(y, [1, 2, 0])[None])
    return _around(model, folder, [1, 8, 6, 3], into, out)


def unbatched(model, folder):
    return _around(model, folder, [3, 8, 6], lambda tf, x: x[None], lambda tf, y: y[0])


def wider(model, folder):
    return _around(model, folder, [2, 3, 8, 6], lambda tf, x: x[0], lambda tf, y: tf.stack([y, y]))


def doubled(model, folder):
    return _around(model, folder, [1, 3, 8, 6], lambda tf, x: x[0], lambda tf, y: tf.stack([y, y]))
"""
