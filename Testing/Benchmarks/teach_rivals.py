"""What teach is compared with: a pixel classifier and multi-Otsu + watershed, on the same labelled slices.

Benchmark only: ``pip install scikit-learn scikit-image``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from scipy import ndimage
from skimage.feature import hessian_matrix_eigvals
from skimage.filters import sobel, threshold_multiotsu, threshold_otsu
from skimage.segmentation import watershed
from sklearn.ensemble import RandomForestClassifier

from MgImplantSegLib.io import read_label_map, read_volume
from MgImplantSegLib.training.teach.settings import Pair
from MgImplantSegLib.training.teach.slices import parse_slices

SIGMAS = (0.7, 1.4, 2.8, 5.6)
PIXELS_PER_CLASS, TREES = 8000, 100
CLASSES = 4
Predict = Callable[[np.ndarray], np.ndarray]


def features(array: np.ndarray) -> np.ndarray:
    """25 features of every voxel (n, 25), float32: grey value; at 4 scales Gaussian, gradient, Hessian, deviation."""
    low, high = np.percentile(array, (0.5, 99.9))
    grey = np.clip((array.astype(np.float32) - low) / (high - low), 0, 1)
    found = [grey]
    for sigma in SIGMAS:
        smooth = ndimage.gaussian_filter(grey, sigma)
        found += [smooth, ndimage.gaussian_gradient_magnitude(grey, sigma)]
        found += [np.sqrt(np.maximum(ndimage.gaussian_filter(grey**2, sigma) - smooth**2, 0))]
        slopes = np.gradient(smooth)
        second = [np.gradient(slopes[a], axis=b) for a, b in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))]
        found += list(hessian_matrix_eigvals(np.array(second)))
    return np.stack(found, axis=-1).reshape(-1, len(found)).astype(np.float32)


def labelled(pair: Pair) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey values, labels, and where they are labelled."""
    labels = read_label_map(pair.labels).array
    mask = np.zeros(labels.shape, bool)
    for entry in parse_slices(pair.done_slices):
        mask[entry.place] = True
    return read_volume(pair.image).array, labels, mask


def forest(pairs: tuple[Pair, ...]) -> Predict:
    """A random forest, as many pixels of every class as there are, up to a number."""
    rng = np.random.default_rng(0)
    inputs, targets = [], []
    for pair in pairs:
        array, labels, mask = labelled(pair)
        values, flat = features(array), labels.ravel()
        for number in range(CLASSES):
            places = np.flatnonzero(mask.ravel() & (flat == number))
            places = rng.permutation(places)[: PIXELS_PER_CLASS // len(pairs)]
            inputs.append(values[places])
            targets.append(flat[places])
    classifier = RandomForestClassifier(TREES, min_samples_leaf=3, class_weight="balanced", random_state=0, n_jobs=1)
    classifier.fit(np.concatenate(inputs), np.concatenate(targets))
    return lambda array: classifier.predict(features(array)).reshape(array.shape).astype(np.uint8)


def assigned(grey_classes: Callable[[np.ndarray], np.ndarray], pairs: tuple[Pair, ...]) -> Predict:
    """Classes of grey values, assigned to the classes of the labels that fit best on the labelled slices."""
    confusion = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    for pair in pairs:
        array, labels, mask = labelled(pair)
        np.add.at(confusion, (grey_classes(array)[mask], labels[mask]), 1)
    assignment = max(product(range(CLASSES), repeat=CLASSES), key=lambda choice: _mean_iou(confusion, choice))
    return lambda array: np.array(assignment, dtype=np.uint8)[grey_classes(array)]


def otsu(pairs: tuple[Pair, ...]) -> Predict:
    """Four grey classes by multi-Otsu, their cores grown by a watershed, assigned to the classes that fit best."""
    return assigned(watershed_classes, pairs)


def threshold_classes(array: np.ndarray) -> np.ndarray:
    """Two grey classes by Otsu's threshold."""
    smooth = _smooth(array)
    return (smooth > threshold_otsu(smooth[::2, ::2, ::2])).astype(np.int64)


def multi_otsu_classes(array: np.ndarray) -> np.ndarray:
    """Four grey classes by multi-Otsu."""
    smooth = _smooth(array)
    return np.digitize(smooth, threshold_multiotsu(smooth[::2, ::2, ::2], CLASSES, nbins=128))


def watershed_classes(array: np.ndarray) -> np.ndarray:
    """The cores of the classes of multi-Otsu, grown by a watershed of the slope."""
    classes = multi_otsu_classes(array)
    cores = np.where(ndimage.maximum_filter(classes, 3) == ndimage.minimum_filter(classes, 3), classes + 1, 0)
    return watershed(sobel(_smooth(array)), cores) - 1


def _smooth(array: np.ndarray) -> np.ndarray:
    smooth = ndimage.gaussian_filter(array.astype(np.float32), 1)
    low, high = np.percentile(smooth, (0.5, 99.9))
    return np.clip((smooth - low) / (high - low), 0, 1)


def _mean_iou(confusion: np.ndarray, choice: tuple[int, ...]) -> float:
    merged = np.zeros_like(confusion)
    for grey, role in enumerate(choice):
        merged[role] += confusion[grey]
    overlap, union = np.diag(merged), merged.sum(0) + merged.sum(1) - np.diag(merged)
    return float(np.mean(overlap[union > 0] / union[union > 0]))


RIVALS: dict[str, Callable[[tuple[Pair, ...]], Predict]] = {"forest": forest, "otsu": otsu}
