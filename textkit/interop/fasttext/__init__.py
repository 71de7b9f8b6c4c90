"""fastText's own model files: bin.py reads word vectors of them, classifier.py makes bundles of classifiers."""
