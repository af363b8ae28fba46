"""Changes of openapi.yaml: what clients send."""

from tests.unit.codegen.compatibility.mutations import (
    Mutation,
    add,
    both,
    drop,
    put,
    remove,
    rename,
)

PAYMENTS = "paths/~1v1~1payments"
CREATE, LIST = f"{PAYMENTS}/post", f"{PAYMENTS}/get"
CANCEL = "paths/~1v1~1payments~1{payment_id}~1cancel/post"
SCHEMAS, PARAMETERS = "components/schemas", "components/parameters"
BODY = f"{SCHEMAS}/CreatePaymentRequest"
TEXT = {"type": "string", "maxLength": 40}
CARD = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type"],
    "properties": {"type": {"type": "string", "const": "card"}},
}
CARD_REF = {"$ref": f"#/{SCHEMAS}/CardDestination"}


def query(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "in": "query", "schema": dict(TEXT), **more}


REQUESTS = [
    Mutation("a query parameter is added", add(f"{LIST}/parameters", query("tag")), None),
    Mutation(
        "a query parameter that must be sent is added",
        add(f"{LIST}/parameters", query("tag", required=True)),
        "parameters/6",
    ),
    Mutation(
        "a header that must be sent is added",
        add(f"{CANCEL}/parameters", {**query("X-Reason"), "in": "header", "required": True}),
        "parameters/1",
    ),
    Mutation(
        "a query parameter goes",
        lambda d: d["paths"]["/v1/payments/{payment_id}/timeline"]["get"]["parameters"].pop(1),
        "get/parameters",
    ),
    Mutation(
        "a query parameter is called differently",
        put(f"{LIST}/parameters/3/name", "order"),
        "get/parameters",
    ),
    Mutation(
        "a query parameter becomes a header",
        put(f"{LIST}/parameters/3/in", "header"),
        "get/parameters",
    ),
    Mutation(
        "a parameter must be sent", put(f"{LIST}/parameters/2/required", value=True), "required"
    ),
    Mutation(
        "a header is spelled in another case",
        put(f"{PARAMETERS}/IdempotencyKey/name", "idempotency-key"),
        None,
    ),
    Mutation(
        "a default changes", put(f"{PARAMETERS}/Limit/schema/default", 50), "Limit/schema/default"
    ),
    Mutation("a parameter is deprecated", put(f"{PARAMETERS}/Limit/deprecated", value=True), None),
    Mutation("a default goes", drop(f"{PARAMETERS}/Limit/schema/default"), "Limit/schema/default"),
    Mutation("pages may be larger", put(f"{PARAMETERS}/Limit/schema/maximum", 200), None),
    Mutation(
        "pages may only be smaller",
        put(f"{PARAMETERS}/Limit/schema/maximum", 50),
        "Limit/schema/maximum",
    ),
    Mutation("a filter takes any text", put(f"{LIST}/parameters/2/schema", TEXT), None),
    Mutation("a member is added to a request", put(f"{BODY}/properties/locale", TEXT), None),
    Mutation(
        "a member that must be sent is added",
        both(put(f"{BODY}/properties/locale", TEXT), add(f"{BODY}/required", "locale")),
        "CreatePaymentRequest/required",
    ),
    Mutation(
        "a member of a request must be sent",
        add(f"{BODY}/required", "description"),
        "CreatePaymentRequest/required",
    ),
    Mutation(
        "a member of a request may be left out", remove(f"{BODY}/required", "cancel_url"), None
    ),
    Mutation(
        "a member of a request goes", drop(f"{BODY}/properties/metadata"), "properties/metadata"
    ),
    Mutation(
        "a member of a request is called differently",
        both(
            rename(f"{BODY}/properties/return_url", "success_url"),
            remove(f"{BODY}/required", "return_url"),
            add(f"{BODY}/required", "success_url"),
        ),
        "properties/return_url",
    ),
    Mutation(
        "a member of a request has another type",
        put(f"{BODY}/properties/expires_in_seconds", TEXT),
        "expires_in_seconds/type",
    ),
    Mutation(
        "a member of a request may be null",
        put(f"{BODY}/properties/description/type", ["string", "null"]),
        None,
    ),
    Mutation(
        "a text of a request may be longer",
        put(f"{BODY}/properties/description/maxLength", 500),
        None,
    ),
    Mutation(
        "a text of a request may only be shorter",
        put(f"{BODY}/properties/description/maxLength", 100),
        "description/maxLength",
    ),
    Mutation(
        "a text of a request gets a pattern",
        put(f"{BODY}/properties/description/pattern", "^[a-z]*$"),
        "description/pattern",
    ),
    Mutation(
        "a pattern of a request changes",
        put(f"{SCHEMAS}/OrderReference/pattern", "^[a-z]{1,64}$"),
        "OrderReference/pattern",
    ),
    Mutation(
        "a pattern of a request goes",
        drop(f"{SCHEMAS}/CreateRefundRequest/properties/reference/pattern"),
        None,
    ),
    Mutation(
        "a pattern of a request goes, and responses have it, too",
        drop(f"{SCHEMAS}/OrderReference/pattern"),
        "OrderReference/pattern",
    ),
    Mutation(
        "a filter takes texts that do not have room for its values",
        put(f"{LIST}/parameters/2/schema", {"type": "string", "maxLength": 8}),
        "parameters/2/schema",
    ),
    Mutation(
        "a number of a request has a lower bound",
        put(f"{BODY}/properties/expires_in_seconds/minimum", 30),
        None,
    ),
    Mutation(
        "a number of a request has a higher bound",
        put(f"{BODY}/properties/expires_in_seconds/minimum", 300),
        "expires_in_seconds/minimum",
    ),
    Mutation(
        "more metadata may be sent",
        put(f"{SCHEMAS}/Metadata/maxProperties", 30),
        "Metadata/maxProperties",
    ),
    Mutation(
        "keys of metadata are spelled differently",
        put(f"{SCHEMAS}/Metadata/propertyNames/pattern", "^[a-z]{1,40}$"),
        "propertyNames/pattern",
    ),
    Mutation(
        "a closed request is opened",
        put(f"{SCHEMAS}/CancelPaymentRequest/additionalProperties", value=True),
        None,
    ),
    Mutation(
        "an open request is closed",
        put(f"{SCHEMAS}/PayosWebhook/additionalProperties", value=False),
        "PayosWebhook/additionalProperties",
    ),
    Mutation(
        "a body must be sent", put(f"{CANCEL}/requestBody/required", value=True), "post/requestBody"
    ),
    Mutation("a body may be left out", put(f"{CREATE}/requestBody/required", value=False), None),
    Mutation("a body goes", drop(f"{CANCEL}/requestBody"), "post/requestBody"),
    Mutation(
        "a reason for refunds is added",
        add(f"{SCHEMAS}/RefundReason/enum", "goodwill"),
        "RefundReason/enum",
    ),
    Mutation(
        "a kind of destination is added",
        both(
            put(f"{SCHEMAS}/CardDestination", CARD),
            add(f"{SCHEMAS}/RefundDestination/oneOf", CARD_REF),
            put(f"{SCHEMAS}/RefundDestination/discriminator/mapping/card", CARD_REF["$ref"]),
        ),
        None,
    ),
    Mutation(
        "a kind of destination goes",
        both(
            lambda d: d["components"]["schemas"]["RefundDestination"]["oneOf"].pop(0),
            drop(f"{SCHEMAS}/RefundDestination/discriminator/mapping/source"),
        ),
        "RefundDestination/oneOf",
    ),
    Mutation(
        "a kind of destination is called differently",
        put(f"{SCHEMAS}/SourceDestination/properties/type/const", "payer"),
        "RefundDestination/oneOf",
    ),
    Mutation(
        "a webhook of the provider may hold more",
        put(f"{SCHEMAS}/PayosWebhookData/maxProperties", 128),
        None,
    ),
]
