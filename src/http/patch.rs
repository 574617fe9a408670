//! Merge patch (RFC 7396): null clears, absent keeps.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Schema, SchemaType, Type};

use super::call::pointer;
use crate::error::{Code, Error};
use crate::guideline::Text;
use crate::rules::Fault;

/// What a patch makes of a resource: of its present state the properties that a body of type `T` has, merged with the patch.
pub fn merged<T>(resource: &impl Serialize, patch: &Map<String, Value>) -> Result<T, Error>
where
    T: DeserializeOwned + PartialSchema,
{
    let mut state = serde_json::to_value(resource).map_err(Error::internal)?;
    if let (Value::Object(state), RefOr::T(Schema::Object(schema))) = (&mut state, T::schema()) {
        state.retain(|name, _| schema.properties.contains_key(name));
    }
    merge(&mut state, &Value::Object(patch.clone()));
    serde_path_to_error::deserialize(state).map_err(|error| {
        let at = pointer(error.path());
        let said = error.inner().to_string();
        let missing = said.strip_prefix("missing field `");
        match missing.and_then(|name| name.split('`').next()) {
            Some(name) => Error::faults(
                Code::InvalidBody,
                vec![Fault::new(
                    format!("{at}/{name}"),
                    "required",
                    Text::new(
                        "Ange fältet: det finns inget värde sedan tidigare att behålla.",
                        "Give the field: nothing stands there that could be kept.",
                    ),
                )],
            ),
            None => Error::at_pointer(Code::InvalidBody, at),
        }
    })
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

/// The schema of a patch: the body's, with nothing required, and null for what can be cleared. Objects in it, named with the patches that
/// they have of their own, are merged in turn.
pub fn schema_of<T: PartialSchema>(
    description: &str,
    example: Value,
    objects: &[(&str, &str)],
) -> RefOr<Schema> {
    match T::schema() {
        RefOr::T(Schema::Object(mut schema)) => {
            let required = std::mem::take(&mut schema.required);
            for (name, property) in &mut schema.properties {
                if let RefOr::T(Schema::Array(array)) = property
                    && !required.contains(name)
                {
                    array.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
                }
            }
            for (name, patch) in objects {
                if let Some(RefOr::T(Schema::OneOf(either))) = schema.properties.get_mut(*name) {
                    for object in &mut either.items {
                        if let RefOr::Ref(reference) = object {
                            reference.ref_location = format!("#/components/schemas/{patch}");
                        }
                    }
                }
            }
            schema.description = Some(description.to_owned());
            schema.example = Some(example);
            RefOr::T(Schema::Object(schema))
        }
        other => other,
    }
}

/// Declares the merge patch of a body type, as a named type of the document.
#[macro_export]
macro_rules! patch_of {
    ($name:ident, $body:ty, $description:literal, $example:tt $(, $object:literal: $patch:ty)*) => {
        #[doc = $description]
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub serde_json::Map<String, serde_json::Value>);

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $crate::http::patch::schema_of::<$body>(
                    $description,
                    serde_json::json!($example),
                    &[$(($object, &<$patch as utoipa::ToSchema>::name())),*],
                )
            }
        }

        impl utoipa::ToSchema for $name {
            fn schemas(
                schemas: &mut Vec<(
                    String,
                    utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>,
                )>,
            ) {
                $(
                    let patch = <$patch as utoipa::PartialSchema>::schema();
                    schemas.push((<$patch as utoipa::ToSchema>::name().into_owned(), patch));
                )*
                <$body as utoipa::ToSchema>::schemas(schemas);
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::merge;
    use serde_json::json;

    #[test]
    fn the_examples_of_rfc_7396_hold() {
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!([1, 2]),
                json!({"a": "b", "c": null}),
                json!({"a": "b"}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, expected, "{target} patched with {patch}");
        }
    }
}
