"""A step of training that processes of PyTorch take together."""

import keras

from keras_rlr.torch_processes import average


def averaged_step(model, data):
    """Takes the step of one process whose batch is that of all; returns the metrics.

    Args:
        model: The detector, of which each process has one like the others.
        data: What Keras' `train_step` is given: this process's part of the batch.
    """
    import torch

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    y_pred = model(x, training=True)
    model.zero_grad()
    loss = model.compute_loss(x, y, y_pred, sample_weight, training=True)
    model.optimizer.scale_loss(loss).backward()
    variables = model.trainable_weights[:]
    gradients = [variable.value.grad for variable in variables]
    average(gradients)
    with torch.no_grad():
        model.optimizer.apply(gradients, variables)
    return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
