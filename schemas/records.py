"""What every record on an input topic carries: its version, its identity, and when it was sent."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_RECORD_BYTES = 1_048_576
"""The largest record that is read; Kafka's own default limit for a message."""

MAX_INT64 = 2**63 - 1

Millis = Annotated[int, Field(ge=0, le=MAX_INT64, description="Epoch milliseconds, UTC.")]
Count = Annotated[int, Field(ge=0, le=MAX_INT64)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""An unsigned 64-bit integer as 16 hexadecimal digits: JSON numbers lose precision beyond 2^53 in many readers."""

Source = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Boot = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetricName = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_.:/-]*$")]


class Wire(BaseModel):
    """Base of all published models: strict types, finite numbers; unknown fields are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)


class Record(Wire):
    """The envelope of an input record.

    `(source, boot, seq)` is the record's identity: a second record with the same identity on the same partition is a
    duplicate, and is dropped within the horizon that `docs/guarantees.md` states.
    """

    v: Literal[1] = Field(description="Version of this record's form.")
    source: Source = Field(description="Host or service instance that emitted the record.")
    boot: Boot = Field(description="Chosen anew, at random, each time the emitting process starts.")
    seq: Count = Field(description="Counts up by one for each record of this boot.")
    sent_ms: Millis = Field(
        description="When this attempt to send was made, by the sender's clock (epoch milliseconds)."
    )
    at_ms: Millis = Field(description="When it happened, by the sender's clock (epoch milliseconds).")
