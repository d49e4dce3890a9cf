"""From decoded records to columns. What is done here for each record is done a million times a minute."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeGuard, TypeVar, cast

import numpy as np

from engine.rows import Floats, Ints
from engine.shapes import Folded, Shapes, Table
from schemas.deadletters import Fault
from schemas.samples import Sketch
from schemas.series import Decoded
from schemas.wire import Input, SampleRecord

UNKNOWN_MS = -1

_Found = TypeVar("_Found")
_FOLDED = frozenset({SampleRecord, Decoded})


class Columns(NamedTuple):
    """Records in the order of the log, column by column, and their points, one after the other.

    Attributes:
        inputs: Of each record, its place among all that came: between them stand ticks, and what could not be read.
        shapes: Of each record, see `engine.shapes`.
        counts: Of each record, how many points it has.
        places: Of each point, where its series stands in `Shapes.series`.
        own_ms: Of each point, the time that it has of its own; `UNKNOWN_MS` where its record's holds.
        sketches: By the place of a point, the distribution that it is.
        faults: By the place of a record, what is refused of it.
    """

    inputs: Ints
    shapes: Table
    seqs: Ints
    sent_ms: Ints
    at_ms: Ints
    counts: Ints
    places: Ints
    values: Floats
    own_ms: Ints
    sketches: dict[int, Sketch]
    faults: dict[int, Sequence[Fault]]

    @property
    def owners(self) -> Ints:
        """Of each point, the place of its record."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def only(self, kept: Ints) -> "Columns":
        """Some of the records, in their order, with their points."""
        counts = self.counts[kept]
        before = np.cumsum(self.counts) - self.counts
        points = np.arange(int(counts.sum())) + np.repeat(before[kept] - np.cumsum(counts) + counts, counts)
        return Columns(
            inputs=self.inputs[kept],
            shapes=self.shapes[kept],
            seqs=self.seqs[kept],
            sent_ms=self.sent_ms[kept],
            at_ms=self.at_ms[kept],
            counts=counts,
            places=self.places[points],
            values=self.values[points],
            own_ms=self.own_ms[points],
            sketches=_moved(self.sketches, points),
            faults=_moved(self.faults, kept),
        )


class Gathered(NamedTuple):
    """All that came: the records in columns, and by its place what is none."""

    columns: Columns
    others: dict[int, Input]


class _Points(NamedTuple):
    """Those of some records, see `Columns`; None for a time that is the record's."""

    counts: Sequence[int] | Ints
    places: Sequence[int] | Ints
    values: Sequence[float] | Floats
    own_ms: Sequence[int | None]
    sketches: dict[int, Sketch]
    faults: dict[int, Sequence[Fault]]


def gather(parts: Iterable[Sequence[Input]], shapes: Shapes) -> Gathered:
    """Everything in columns.

    Args:
        parts: As the decoders give them, one after the other. Short ones, decoded when they are asked for, are still in
            the processor's cache when their fields are taken.
        shapes: What is known of shapes; new ones are learnt.
    """
    shapes.make_room()
    others: dict[int, Input] = {}
    columns: list[Columns] = []
    came = 0
    for part in parts:
        columns.append(_columns(part, came, shapes, others))
        came += len(part)
    return Gathered(columns[0] if len(columns) == 1 else _joined(columns), others)


def _columns(part: Sequence[Input], came: int, shapes: Shapes, others: dict[int, Input]) -> Columns:
    inputs, records = np.arange(came, came + len(part)), cast("list[Folded]", list(part))
    apart = _apart(part)
    if apart:
        others.update({came + place: part[place] for place in apart})
        inputs = np.delete(inputs, apart)
        for place in reversed(apart):
            del records[place]
    of_part, points = _of_samples(records, shapes) if _all_samples(records) else _one_by_one(records, shapes)
    for place in np.flatnonzero(of_part["faulty"]).tolist():
        points.faults[place] = [*shapes.faults(int(of_part["id"][place])), *points.faults.get(place, ())]
    return Columns(
        inputs,
        of_part,
        np.fromiter([record.seq for record in records], np.int64, len(records)),
        np.fromiter([record.sent_ms for record in records], np.int64, len(records)),
        np.fromiter([record.at_ms for record in records], np.int64, len(records)),
        np.asarray(points.counts, np.int64),
        np.asarray(points.places, np.int64),
        np.asarray(points.values, np.float64),
        _known(points.own_ms),
        points.sketches,
        points.faults,
    )


def _apart(part: Sequence[Input]) -> list[int]:
    """Places of what is no record."""
    kinds = list(map(type, part))
    return [place for place, kind in enumerate(kinds) if kind not in _FOLDED] if set(kinds) - _FOLDED else []


def _all_samples(part: Sequence[Folded]) -> TypeGuard[Sequence[SampleRecord]]:
    return set(map(type, part)) <= {SampleRecord}


def _of_samples(part: Sequence[SampleRecord], shapes: Shapes) -> tuple[Table, _Points]:
    samples = [sample for record in part for sample in record.samples]
    # None has less than one.
    of_part = shapes.of_single(part, samples) if len(samples) == len(part) else shapes.of_any(part)
    counts, size = of_part["count"], len(samples)
    places = np.arange(size) + np.repeat(of_part["first"] - np.cumsum(counts) + counts, counts)
    values = np.fromiter([sample.value for sample in samples], np.float64, size)
    return of_part, _Points(counts, places, values, [sample.at_ms for sample in samples], {}, {})


def _one_by_one(part: Sequence[Folded], shapes: Shapes) -> tuple[Table, _Points]:
    """Where some records name their series themselves."""
    of_part = shapes.of_any(part)
    counts: list[int] = []
    places: list[int] = []
    values: list[float] = []
    own_ms: list[int | None] = []
    sketches: dict[int, Sketch] = {}
    faults: dict[int, Sequence[Fault]] = {}
    for index, (record, first) in enumerate(zip(part, of_part["first"].tolist(), strict=True)):
        if isinstance(record, SampleRecord):
            counts.append(len(record.samples))
            places += range(first, first + len(record.samples))
            values += [sample.value for sample in record.samples]
            own_ms += [sample.at_ms for sample in record.samples]
            continue
        if record.faults:
            faults[index] = record.faults
        counts.append(len(record.points))
        for series, value, at_ms, sketch in record.points:
            if sketch is not None:
                sketches[len(values)] = sketch
            places.append(shapes.place(series))
            values.append(value)
            own_ms.append(at_ms)
    return of_part, _Points(counts, places, values, own_ms, sketches, faults)


def _known(own_ms: Sequence[int | None]) -> Ints:
    if own_ms.count(None) == len(own_ms):
        return np.full(len(own_ms), UNKNOWN_MS, np.int64)
    return np.array([UNKNOWN_MS if own is None else own for own in own_ms], np.int64)


def _moved(found: Mapping[int, _Found], kept: Ints) -> dict[int, _Found]:
    """What was found at some places, by where these places stand in `kept`, which rises."""
    if not found:
        return {}
    return {place: found[before] for place, before in enumerate(kept.tolist()) if before in found}


def _joined(parts: Sequence[Columns]) -> Columns:
    """All of them, one after the other."""
    sketches: dict[int, Sketch] = {}
    faults: dict[int, Sequence[Fault]] = {}
    records = points = 0
    for part in parts:
        sketches |= {points + place: sketch for place, sketch in part.sketches.items()}
        faults |= {records + place: found for place, found in part.faults.items()}
        records, points = records + len(part.counts), points + len(part.places)
    return Columns(
        inputs=np.concatenate([part.inputs for part in parts]),
        shapes=np.concatenate([part.shapes for part in parts]),
        seqs=np.concatenate([part.seqs for part in parts]),
        sent_ms=np.concatenate([part.sent_ms for part in parts]),
        at_ms=np.concatenate([part.at_ms for part in parts]),
        counts=np.concatenate([part.counts for part in parts]),
        places=np.concatenate([part.places for part in parts]),
        values=np.concatenate([part.values for part in parts]),
        own_ms=np.concatenate([part.own_ms for part in parts]),
        sketches=sketches,
        faults=faults,
    )
