"""Per-operation plans: what openapi-core would do for a request or response, worked out once.

A plan is built from openapi-core's own parts (security providers, deserializers, casters, schema
validators) and may only ACCEPT. On any doubt the unmodified validator decides and explains, see
`compiled.py`; so a plan can be incomplete, but it must never be more lenient.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from openapi_core.datatypes import Parameters
from openapi_core.schema.parameters import get_style_and_explode

MISSING: Any = object()
_HARMLESS = frozenset({
    "name", "in", "required", "description", "schema", "style", "explode", "example", "examples",
    "x-of-delivery",
})  # fmt: skip


class NotPlannable(Exception):
    """The contract uses something here that only openapi-core itself can decide."""


@dataclass(frozen=True, slots=True)
class ParameterPlan:
    """How to read and judge one parameter or header."""

    name: str
    location: str
    required: bool
    default: Any
    is_plain_text: bool
    read: Callable[[Any], Any]
    is_valid: Callable[[Any], bool]

    def value_of(self, source: Any) -> Any:
        """Read the value; MISSING when it was not sent."""
        if self.is_plain_text:
            return source.get(self.name, MISSING)
        try:
            return self.read(source)
        except KeyError:
            return MISSING


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """How to decode and judge one media type; None means that any bytes will do."""

    decode: Callable[[bytes], Any] | None
    is_valid: Callable[[Any], bool] | None


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """How to judge a request."""

    security: list[Callable[[Any], Any]]  # all must find their credentials, or they raise
    parameters: list[ParameterPlan]
    bodies: dict[str, BodyPlan] | None
    body_required: bool


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """How to judge a response of one status."""

    bodies: dict[str, BodyPlan] | None
    headers: list[ParameterPlan]


def plan_request(validator: Any, path: Any, operation: Any) -> RequestPlan:
    """Work out a request's plan.

    Raises:
        NotPlannable: See there.
    """
    security = _plan_security(validator, operation)
    parameters: dict[tuple[str, str], ParameterPlan] = {}
    for source in (operation, path):
        for parameter in (source / "parameters") if "parameters" in source else ():
            key = ((parameter / "name").read_str(), (parameter / "in").read_str())
            if key not in parameters:
                parameters[key] = _plan_parameter(validator, parameter, *key)
    if "requestBody" not in operation:
        return RequestPlan(security, list(parameters.values()), None, body_required=False)
    body = operation / "requestBody"
    return RequestPlan(
        security,
        list(parameters.values()),
        _plan_bodies(validator, body),
        body_required=(body / "required").read_bool(default=False),
    )


def plan_response(validator: Any, operation: Any, status: int) -> ResponsePlan:
    """Work out the plan of a response.

    Raises:
        NotPlannable: See there.
    """
    response = validator._find_operation_response(status, operation)  # noqa: SLF001
    headers = []
    if "headers" in response:
        for name, header in (response / "headers").str_items():
            if name.lower() != "content-type":
                headers.append(_plan_parameter(validator, header, name, "header"))
    bodies = _plan_bodies(validator, response) if "content" in response else None
    return ResponsePlan(bodies, headers)


def accept_parameters(plan: RequestPlan, sent: Any) -> Parameters | None:
    """Return the parameters of a request if the plan accepts them, else None."""
    accepted = Parameters()
    for parameter in plan.parameters:
        value = parameter.value_of(getattr(sent, parameter.location))
        if value is MISSING:
            if parameter.required and parameter.default is MISSING:
                return None
            if parameter.default is MISSING:
                continue
            value = parameter.default
        elif value == "" and parameter.location == "query":
            return None
        if not parameter.is_valid(value):
            return None
        getattr(accepted, parameter.location)[parameter.name] = value
    return accepted


def _plan_security(validator: Any, operation: Any) -> list[Callable[[Any], Any]]:
    owner = operation if "security" in operation else validator.spec
    requirements = list(owner / "security") if "security" in owner else []
    if len(requirements) > 1:
        raise NotPlannable("a choice of credentials")
    schemes = validator.spec / "components#securitySchemes"
    return [
        validator.security_provider_factory.create(schemes[name])
        for requirement in requirements
        for name in requirement.str_keys()
    ]


def _plan_bodies(validator: Any, owner: Any) -> dict[str, BodyPlan]:
    return {
        media_type: _plan_body(validator, media, media_type)
        for media_type, media in (owner / "content").str_items()
    }


def _plan_body(validator: Any, media: Any, media_type: str) -> BodyPlan:
    if "schema" not in media:
        if "json" in media_type:
            raise NotPlannable("JSON without a schema")
        return BodyPlan(None, None)
    extra = validator.extra_media_type_deserializers or {}
    decode = extra.get(media_type)
    if decode is None:
        raise NotPlannable(f"a schema for {media_type}")
    return BodyPlan(decode, _is_valid(validator, media / "schema"))


def _plan_parameter(validator: Any, node: Any, name: str, location: str) -> ParameterPlan:
    if any(key not in _HARMLESS for key in node.str_keys()):
        raise NotPlannable(f"an unusual keyword at {name}")
    schema = node / "schema"
    style, explode = get_style_and_explode(node)
    deserializer = validator.style_deserializers_factory.create(
        validator.spec, schema, style, explode, name=name
    )

    def read(source: Any) -> Any:
        raw = deserializer.deserializer_callable(
            deserializer.explode, name, deserializer.schema_type, source
        )
        return deserializer.caster.cast(raw)

    return ParameterPlan(
        name=name,
        location=location,
        required=(node / "required").read_bool(default=False),
        default=(schema / "default").read_value() if "default" in schema else MISSING,
        is_plain_text=deserializer.schema_type == "string" and style in {"simple", "form"},
        read=read,
        is_valid=_is_valid(validator, schema),
    )


def _is_valid(validator: Any, schema: Any) -> Callable[[Any], bool]:
    made = validator.schema_validators_factory.create(
        validator.spec,
        schema,
        format_validators=validator.format_validators,
        extra_format_validators=validator.extra_format_validators,
    )
    judge: Callable[[Any], bool] | None = getattr(made, "is_valid", None)
    if judge is None:
        raise NotPlannable("no compiled schema")
    return judge
