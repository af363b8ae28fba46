"""Changes of openapi.yaml: what clients are answered."""

from tests.unit.codegen.compatibility.mutations import (
    Mutation,
    add,
    both,
    drop,
    put,
    remove,
    rename,
    rename_schema,
)

CREATE = "paths/~1v1~1payments/post"
QR, HEALTH = "paths/~1v1~1qr-codes~1{qr_token}/get", "paths/~1v1~1health/get"
WEBHOOK = "paths/~1v1~1webhooks~1payos/post"
SCHEMAS = "components/schemas"
PAYMENT = f"{SCHEMAS}/Payment"
PROBLEM = {"$ref": "#/components/responses/Problem"}
TEXT = {"type": "string", "maxLength": 40}

RESPONSES = [
    Mutation("a member is added to a response", put(f"{PAYMENT}/properties/locale", TEXT), None),
    Mutation(
        "a member that is always there is added to a response",
        both(put(f"{PAYMENT}/properties/locale", TEXT), add(f"{PAYMENT}/required", "locale")),
        None,
    ),
    Mutation(
        "a member of a response goes",
        both(drop(f"{PAYMENT}/properties/updated_at"), remove(f"{PAYMENT}/required", "updated_at")),
        "Payment/properties/updated_at",
    ),
    Mutation(
        "a member of a response that may be missing goes",
        drop(f"{PAYMENT}/properties/paid_at"),
        "Payment/properties/paid_at",
    ),
    Mutation(
        "a member of a response may be missing",
        remove(f"{PAYMENT}/required", "version"),
        "Payment/required",
    ),
    Mutation(
        "a member of a response is always there", add(f"{PAYMENT}/required", "description"), None
    ),
    Mutation(
        "a member of a response may be null",
        put(f"{PAYMENT}/properties/provider_reference/type", ["string", "null"]),
        "provider_reference/type",
    ),
    Mutation(
        "a member of a response is never null any more",
        put(f"{PAYMENT}/properties/checkout_url/type", "string"),
        None,
    ),
    Mutation(
        "a member of a response has another type",
        put(f"{PAYMENT}/properties/version", TEXT),
        "version/type",
    ),
    Mutation(
        "a text of a response may be longer",
        put(f"{PAYMENT}/properties/qr_code/maxLength", 4096),
        "qr_code/maxLength",
    ),
    Mutation(
        "a text of a response may only be shorter",
        put(f"{PAYMENT}/properties/qr_code/maxLength", 512),
        None,
    ),
    Mutation(
        "a text of a response loses its pattern",
        drop(f"{PAYMENT}/properties/qr_token/pattern"),
        "qr_token/pattern",
    ),
    Mutation(
        "a number of a response may be negative",
        put(f"{SCHEMAS}/TimelineEntry/properties/position/minimum", -1),
        "position/minimum",
    ),
    Mutation(
        "a number of a response needs more bits",
        both(put(f"{SCHEMAS}/Problem/properties/status/format", "int64")),
        "status/format",
    ),
    Mutation("a time is any text", drop(f"{SCHEMAS}/Timestamp/format"), "Timestamp/format"),
    Mutation(
        "a status is added", add(f"{SCHEMAS}/PaymentStatus/enum", "on_hold"), "PaymentStatus/enum"
    ),
    Mutation(
        "a status goes, which is also a filter",
        remove(f"{SCHEMAS}/PaymentStatus/enum", "expired"),
        "PaymentStatus/enum",
    ),
    Mutation(
        "a reason that is only told goes",
        remove(f"{SCHEMAS}/RefundFailureReason/enum", "canceled"),
        None,
    ),
    Mutation(
        "a reason that is only told becomes any text",
        both(
            drop(f"{SCHEMAS}/RefundFailureReason/enum"),
            put(f"{SCHEMAS}/RefundFailureReason/maxLength", 32),
        ),
        "RefundFailureReason/enum",
    ),
    Mutation(
        "a list may be longer",
        put(f"{PAYMENT}/properties/exceptions/maxItems", 1000),
        "exceptions/maxItems",
    ),
    Mutation(
        "entries of a list are something else",
        put(f"{SCHEMAS}/PaymentPage/properties/data/items/$ref", f"#/{SCHEMAS}/Refund"),
        "#/components/schemas/Refund",
    ),
    Mutation(
        "a schema is called differently",
        rename_schema("Payment", "PaymentResource"),
        "#/components/schemas/PaymentResource",
    ),
    Mutation(
        "an enum is called differently",
        rename_schema("PaymentStatus", "PaymentState"),
        "#/components/schemas/PaymentState",
    ),
    Mutation("a problem tells more", put(f"{SCHEMAS}/Problem/properties/trace_id", TEXT), None),
    Mutation(
        "a success that nobody knows is added",
        lambda d: d["paths"]["/v1/payments"]["post"]["responses"].update(
            {"202": {"description": "later"}}
        ),
        "post/responses/202",
    ),
    Mutation(
        "a success has another status",
        rename(f"{CREATE}/responses/201", "200"),
        "post/responses/201",
    ),
    Mutation(
        "an error that is among the others is told apart",
        put(f"{HEALTH}/responses/429", PROBLEM),
        None,
    ),
    Mutation(
        "an error is not told apart any more", drop(f"{CREATE}/responses/409"), "post/responses/409"
    ),
    Mutation(
        "an answer has another media type",
        put(f"{QR}/responses/200/content", {"image/svg+xml": {}}),
        "get/responses/200/content",
    ),
    Mutation(
        "an answer becomes empty",
        drop(f"{WEBHOOK}/responses/200/content"),
        "post/responses/200/content",
    ),
    Mutation(
        "a header of an answer is added",
        put(f"{CREATE}/responses/201/headers/ETag", {"schema": TEXT}),
        None,
    ),
    Mutation(
        "a header of an answer goes",
        drop("components/responses/Conflict/headers/Retry-After"),
        "headers/Retry-After",
    ),
    Mutation(
        "a header of an answer may be missing",
        put(f"{CREATE}/responses/201/headers/Location/required", value=False),
        "headers/Location/required",
    ),
    Mutation(
        "a header of an answer may say more",
        put("components/headers/RetryAfter/schema/maximum", 10**6),
        "headers/Retry-After/schema/maximum",
    ),
]
