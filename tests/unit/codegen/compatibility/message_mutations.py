"""The changes from one version of a message to the next: what readers of the first are sent."""

from tests.unit.codegen.compatibility.mutations import (
    Mutation,
    add,
    both,
    drop,
    put,
    remove,
    rename,
)

DATA, PAYMENT = "$defs/PaymentEventDataV1", "$defs/PaymentV1"
TEXT = {"type": "string", "maxLength": 40}

MESSAGES = [
    Mutation(
        "the next version only counts on", put(f"{DATA}/properties/event_version/minimum", 2), None
    ),
    Mutation(
        "the next version counts down",
        put(f"{DATA}/properties/event_version/minimum", 0),
        "event_version/minimum",
    ),
    Mutation(
        "a type of event is added",
        add("$defs/PaymentEventTypeV1/x-extensible-enum", "payment.disputed"),
        None,
    ),
    Mutation("a member is added to an event", put(f"{DATA}/properties/actor", TEXT), None),
    Mutation(
        "a member that is always there is added",
        both(put(f"{DATA}/properties/actor", TEXT), add(f"{DATA}/required", "actor")),
        None,
    ),
    Mutation(
        "a member of an event goes",
        both(drop(f"{PAYMENT}/properties/metadata"), remove(f"{PAYMENT}/required", "metadata")),
        "properties/metadata",
    ),
    Mutation(
        "a member of an event that may be missing goes",
        drop(f"{PAYMENT}/properties/paid_at"),
        "properties/paid_at",
    ),
    Mutation(
        "a member of an event may be missing",
        remove(f"{PAYMENT}/required", "amount"),
        "PaymentV1/required",
    ),
    Mutation(
        "a member of an event is called differently",
        both(
            rename(f"{PAYMENT}/properties/amount_unapplied", "amount_left"),
            remove(f"{PAYMENT}/required", "amount_unapplied"),
        ),
        "properties/amount_unapplied",
    ),
    Mutation(
        "a member of an event may be null",
        put(f"{PAYMENT}/properties/order_reference/type", ["string", "null"]),
        "order_reference/type",
    ),
    Mutation("an amount becomes a text", put(f"{PAYMENT}/properties/amount", TEXT), "amount/type"),
    Mutation(
        "an amount may be negative",
        put(f"{PAYMENT}/properties/amount_received/minimum", -1),
        "amount_received/minimum",
    ),
    Mutation(
        "an amount has a smaller bound", put(f"{PAYMENT}/properties/amount/maximum", 10**12), None
    ),
    Mutation(
        "a status is added to an event",
        add("$defs/PaymentStatusV1/enum", "disputed"),
        "PaymentStatusV1/enum",
    ),
    Mutation("a status of an event goes", remove("$defs/PaymentStatusV1/enum", "expired"), None),
    Mutation(
        "a text of an event may be longer",
        put(f"{PAYMENT}/properties/order_reference/maxLength", 128),
        "order_reference/maxLength",
    ),
    Mutation(
        "ids of events look different",
        put("properties/id/pattern", "^[0-9a-f]{32}$"),
        "properties/id/pattern",
    ),
    Mutation(
        "a time of an event is any text",
        drop(f"{PAYMENT}/properties/created_at/format"),
        "created_at/format",
    ),
    Mutation(
        "a constant of an event changes",
        put("properties/specversion/const", "2.0"),
        "specversion/const",
    ),
    Mutation(
        "a constant of an event may be anything",
        both(
            drop("properties/datacontenttype/const"),
            put("properties/datacontenttype/maxLength", 99),
        ),
        "datacontenttype/const",
    ),
    Mutation(
        "more metadata may be told",
        put(f"{PAYMENT}/properties/metadata/maxProperties", 50),
        "metadata/maxProperties",
    ),
    Mutation(
        "values of metadata may be longer",
        put(f"{PAYMENT}/properties/metadata/additionalProperties/maxLength", 5000),
        "additionalProperties/maxLength",
    ),
    Mutation("a description changes", put("description", "What happened."), None),
]
