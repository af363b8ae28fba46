"""openapi-core's factories, making each thing once instead of once per request."""

from typing import Any

from jsonschema_path import SchemaPath
from openapi_core.casting.schemas import oas31_schema_casters_factory
from openapi_core.casting.schemas.factories import SchemaCastersFactory
from openapi_core.deserializing.media_types import media_type_deserializers
from openapi_core.deserializing.media_types.factories import MediaTypeDeserializersFactory
from openapi_core.deserializing.styles import style_deserializers
from openapi_core.deserializing.styles.factories import StyleDeserializersFactory

KEPT_MAX = 256  # media type parameters come from clients: bound what they can make us keep


class KeptCastersFactory(SchemaCastersFactory):
    """Keeps the caster of each schema."""

    def __init__(self, schema_validators_factory: Any) -> None:
        super().__init__(schema_validators_factory, oas31_schema_casters_factory.types_caster)
        self._made: dict[Any, Any] = {}

    def create(self, spec: Any, schema: Any, *args: Any, **options: Any) -> Any:
        """Make the caster of a schema, once."""
        if schema.accessor is not spec.accessor:
            return super().create(spec, schema, *args, **options)
        made = self._made.get(schema.parts)
        if made is None:
            made = self._made[schema.parts] = super().create(spec, schema, *args, **options)
        return made


class KeptStyleDeserializersFactory(StyleDeserializersFactory):
    """Keeps the deserializer of each parameter."""

    def __init__(self, casters: KeptCastersFactory) -> None:
        super().__init__(casters, style_deserializers=style_deserializers)
        self._made: dict[Any, Any] = {}

    def create(self, spec: Any, schema: Any, style: Any, explode: Any, name: Any) -> Any:
        """Make the deserializer of a parameter, once."""
        if schema.accessor is not spec.accessor:
            return super().create(spec, schema, style, explode, name)
        key = (schema.parts, style, explode, name)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = super().create(spec, schema, style, explode, name)
        return made


class KeptMediaTypeDeserializersFactory(MediaTypeDeserializersFactory):
    """Keeps the deserializer of each media type."""

    def __init__(self, styles: KeptStyleDeserializersFactory) -> None:
        super().__init__(styles, media_type_deserializers=media_type_deserializers)
        self._made: dict[Any, Any] = {}

    def create(self, spec: Any, mimetype: Any, *args: Any, **options: Any) -> Any:
        """Make the deserializer of a media type, once."""
        schema, parameters = options.get("schema"), options.get("parameters")
        parts = schema.parts if isinstance(schema, SchemaPath) else None
        key = (mimetype, parts, tuple(parameters.items()) if parameters else ())
        made = self._made.get(key)
        if made is None:
            made = super().create(spec, mimetype, *args, **options)
            if len(self._made) < KEPT_MAX:
                self._made[key] = made
        return made
