"""What travels: topics, the records of each topic, the metric catalogue, the wire codec, the error tree.

Nothing here performs I/O or reads a clock.
"""
