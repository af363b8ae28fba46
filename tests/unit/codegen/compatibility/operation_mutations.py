"""Changes of openapi.yaml: operations, who may call them, and error codes."""

from tests.unit.codegen.compatibility.mutations import Mutation, add, both, drop, put, rename

PAYMENTS = "paths/~1v1~1payments"
CREATE, LIST = f"{PAYMENTS}/post", f"{PAYMENTS}/get"
QR = "paths/~1v1~1qr-codes~1{qr_token}/get"
CODE = {"status": 409, "title": "t", "retryable": False, "description": "d"}

OPERATIONS = [
    Mutation("the description of an operation changes", put(f"{CREATE}/summary", "Ask"), None),
    Mutation(
        "an example goes",
        drop(f"{CREATE}/requestBody/content/application~1json/examples/coffee"),
        None,
    ),
    Mutation("a link goes", drop(f"{CREATE}/responses/201/links/CreateRefund"), None),
    Mutation(
        "a path is added",
        lambda d: d["paths"].update(
            {"/v1/ping": {"get": {**d["paths"]["/v1/health"]["get"], "operationId": "ping"}}}
        ),
        None,
    ),
    Mutation(
        "a method is added",
        lambda d: d["paths"]["/v1/health"].update(
            post={**d["paths"]["/v1/health"]["get"], "operationId": "ping"}
        ),
        None,
    ),
    Mutation("an operation is deprecated", put(f"{LIST}/deprecated", value=True), None),
    Mutation("a path goes", drop("paths/~1v1~1exceptions"), "#/paths/~1v1~1exceptions/get"),
    Mutation("a method goes", drop(LIST), "#/paths/~1v1~1payments/get"),
    Mutation(
        "a path is spelled differently", rename("paths/~1v1~1health", "/v1/healthz"), "~1v1~1health"
    ),
    Mutation(
        "an operationId changes", put(f"{CREATE}/operationId", "makePayment"), "post/operationId"
    ),
    Mutation("an operation moves to another tag", put(f"{QR}/tags", ["system"]), "get/tags"),
    Mutation(
        "a path parameter is called differently",
        both(
            rename("paths/~1v1~1qr-codes~1{qr_token}", "/v1/qr-codes/{token}"),
            put("paths/~1v1~1qr-codes~1{token}/get/parameters/0/name", "token"),
        ),
        "/name",
    ),
    Mutation("an open operation needs a token", drop(f"{QR}/security"), "get/security"),
    Mutation(
        "an operation needs another scope",
        put(f"{LIST}/security", [{"bearerAuth": ["payments:list"]}]),
        "get/security",
    ),
    Mutation(
        "an operation needs one scope more",
        add(f"{LIST}/security/0/bearerAuth", "admin"),
        "get/security",
    ),
    Mutation("an operation needs no token any more", put(f"{LIST}/security", []), None),
    Mutation(
        "an operation needs no scope any more", put(f"{LIST}/security", [{"bearerAuth": []}]), None
    ),
    Mutation("an error code is added", put("x-error-codes/CARD_DECLINED", CODE), None),
    Mutation(
        "the title of an error code changes", put("x-error-codes/NOT_FOUND/title", "Gone"), None
    ),
    Mutation(
        "an error code goes", drop("x-error-codes/RATE_LIMITED"), "x-error-codes/RATE_LIMITED"
    ),
    Mutation(
        "an error code has another status",
        put("x-error-codes/NOT_FOUND/status", 410),
        "NOT_FOUND/status",
    ),
    Mutation(
        "an error is not worth another try any more",
        put("x-error-codes/OVERLOADED/retryable", value=False),
        "OVERLOADED/retryable",
    ),
]
